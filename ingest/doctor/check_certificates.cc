#include <chrono>

#include "auth/pki/certificate.h"
#include "auth/pki/pki_files.h"
#include "ingest/doctor/checks.h"
#include "schema/timestamp.h"

namespace sluice {
namespace {

using std::chrono::days;
using std::chrono::microseconds;

// As the alarm SluicePkiFileEnding.
constexpr days kSoon{7};

void CheckDates(const std::string& setting, const std::string& file, const std::string& renewing,
                Findings* out) {
  const Result<std::string> pem = ReadWholeFile(file);
  const Result<UnixMicros> end = pem.ok() ? EarliestEnd(*pem) : pem.status();
  if (!end.ok()) {
    return out->Fail(setting, file + ": " + end.message(),
                     "name a file with certificates or a revocation list in PEM that the daemon's "
                     "user may read");
  }
  const microseconds left(*end - SystemClock().Now());
  const std::string date = FormatIso8601(*end);
  if (left <= microseconds(0)) {
    out->Fail(setting, file + ": something in it has ended on " + date, renewing);
  } else if (left < kSoon) {
    out->Warn(setting, file + ": something in it ends on " + date, renewing);
  } else {
    out->Ok(setting, file + ": good until " + date);
  }
}

void CheckPair(const Settings& settings, Findings* out) {
  const Result<std::string> certificate = ReadWholeFile(settings.mqtt_client_cert);
  const Result<std::string> key = ReadWholeFile(settings.mqtt_client_key);
  if (!certificate.ok() || !key.ok()) return;  // CheckSettings says so
  if (IsKeyOf(*key, *certificate)) {
    return out->Ok("MQTT_CLIENT_KEY", "it is the key of MQTT_CLIENT_CERT");
  }
  out->Fail("MQTT_CLIENT_KEY", "it is not the key of the certificate in MQTT_CLIENT_CERT",
            "give the two files that were made together");
}

}  // namespace

std::vector<Finding> CheckCertificates(const Patient& patient) {
  Findings out("certificates");
  const Settings& settings = patient.settings();
  if (!settings.mqtt_ca_cert.empty()) {
    CheckDates("MQTT_CA_CERT", settings.mqtt_ca_cert,
               "put the broker's present authority there; docs/security.md has the life cycle",
               &out);
  }
  if (!settings.mqtt_client_cert.empty()) {
    CheckDates("MQTT_CLIENT_CERT", settings.mqtt_client_cert,
               "give the daemon a new certificate and start it again", &out);
    CheckPair(settings, &out);
  }
  for (const std::string& file : settings.pki_watch_files) {
    CheckDates("PKI_WATCH_FILES", file,
               "a revocation list: run sluice crl write; the broker's certificate: sluice pki "
               "renew-server; then let the broker reload. See docs/security.md",
               &out);
  }
  return out.Take();
}

}  // namespace sluice
