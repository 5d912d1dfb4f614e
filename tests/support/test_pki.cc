#include "tests/support/test_pki.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <cstdlib>

namespace sluice::testing {
namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

void Must(bool ok) {
  if (ok) return;
  std::fprintf(stderr, "OpenSSL does not make a test's certificate\n");
  std::abort();
}

template <typename Writer>
void WritePem(const std::string& path, Writer writer) {
  std::FILE* const file = std::fopen(path.c_str(), "w");
  Must(file != nullptr && writer(file) == 1);
  std::fclose(file);
}

// What EVP_EC_gen does, which casts a const away.
EVP_PKEY* NewKey() {
  return EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256");
}

template <typename Type, typename Reader>
Type* ReadPem(const std::string& path, Reader reader) {
  std::FILE* const file = std::fopen(path.c_str(), "r");
  Must(file != nullptr);
  Type* const read = reader(file, nullptr, nullptr, nullptr);
  Must(read != nullptr);
  std::fclose(file);
  return read;
}

Certificate Unsigned(EVP_PKEY* key, long serial) {
  Certificate made(X509_new(), X509_free);
  X509_set_version(made.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(made.get()), serial);
  X509_gmtime_adj(X509_getm_notBefore(made.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(made.get()), 24L * 3600);
  Must(X509_set_pubkey(made.get(), key) == 1);
  return made;
}

void AddName(X509* certificate, const TestName& name) {
  X509_NAME_ENTRY* entry = X509_NAME_ENTRY_create_by_NID(
      nullptr, NID_commonName, name.type, reinterpret_cast<const unsigned char*>(name.text.data()),
      static_cast<int>(name.text.size()));
  Must(X509_NAME_add_entry(X509_get_subject_name(certificate), entry, -1, 0) == 1);
  X509_NAME_ENTRY_free(entry);
}

void AddExtension(X509* certificate, int nid, const char* value) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value);
  Must(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

}  // namespace

TestPki::TestPki()
    : ca_file_(directory_.Path("ca.pem")),
      ca_key_(NewKey(), EVP_PKEY_free),
      ca_(nullptr, X509_free) {
  ca_ = Unsigned(ca_key_.get(), 1);
  AddName(ca_.get(), {"test authority"});
  X509_set_issuer_name(ca_.get(), X509_get_subject_name(ca_.get()));
  AddExtension(ca_.get(), NID_basic_constraints, "critical,CA:TRUE");
  Must(X509_sign(ca_.get(), ca_key_.get(), EVP_sha256()) > 0);
  WritePem(ca_file(), [this](std::FILE* file) { return PEM_write_X509(file, ca_.get()); });
  Issue({{"localhost"}}, "server");
}

TestPki::TestPki(const std::string& ca_file, const std::string& ca_key_file,
                 const std::string& trusted_file)
    : ca_file_(trusted_file),
      ca_key_(ReadPem<EVP_PKEY>(ca_key_file, PEM_read_PrivateKey), EVP_PKEY_free),
      ca_(ReadPem<X509>(ca_file, PEM_read_X509), X509_free) {}

Sha256Digest FingerprintOf(const std::string& certificate_file) {
  const Certificate certificate(ReadPem<X509>(certificate_file, PEM_read_X509), X509_free);
  Sha256Digest digest;
  Must(X509_digest(certificate.get(), EVP_sha256(), digest.data(), nullptr) > 0);
  return digest;
}

std::vector<std::string> TestPki::ServerLines() const {
  return {"cafile " + ca_file(), "certfile " + directory_.Path("server.pem"),
          "keyfile " + directory_.Path("server.key")};
}

RawTls TestPki::Client(const std::vector<TestName>& common_names) {
  const std::string name = "client" + std::to_string(++issued_);
  Issue(common_names, name);
  return {.ca_file = ca_file(),
          .certificate_file = directory_.Path(name + ".pem"),
          .key_file = directory_.Path(name + ".key")};
}

void TestPki::Issue(const std::vector<TestName>& common_names, const std::string& name) {
  const Key key(NewKey(), EVP_PKEY_free);
  const Certificate made = Unsigned(key.get(), 100 + issued_);
  for (const TestName& common_name : common_names) AddName(made.get(), common_name);
  X509_set_issuer_name(made.get(), X509_get_subject_name(ca_.get()));
  AddExtension(made.get(), NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
  Must(X509_sign(made.get(), ca_key_.get(), EVP_sha256()) > 0);
  WritePem(directory_.Path(name + ".pem"),
           [&](std::FILE* file) { return PEM_write_X509(file, made.get()); });
  WritePem(directory_.Path(name + ".key"), [&](std::FILE* file) {
    return PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
}

const std::vector<std::vector<TestName>>& NamesOfNoDevice() {
  using namespace std::string_literals;
  static const std::vector<std::vector<TestName>> names = {
      {{"a/b/c"}},
      {{"+/+"}},
      {{"#"}},
      {{"+"}},
      {{"a/"}},
      {{"/b"}},
      {{".."}},
      {{"../.."}},
      {{"t1/.."}},
      {{""}},
      {{"sluice"}},
      {{"t1/d1\n"}},
      {{"t1/d1\0"s}},
      {{"t1/d1\0x"s}},
      {{"t1/\xff\xfe", V_ASN1_PRINTABLESTRING}},
      {{"t1/" + std::string(62, 'd')}},
      {{"t1/d1"}, {"t1/d2"}},
      {{"t1/d1"}, {"t1/d1"}},
      {{"t1/d1xxx", V_ASN1_BMPSTRING}},
      {}};
  return names;
}

}  // namespace sluice::testing
