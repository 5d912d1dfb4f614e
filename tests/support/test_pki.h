// TestPki: a certificate authority of one test, with certificates that no honest one would issue.
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <vector>

#include "auth/digest.h"
#include "tests/support/raw_mqtt.h"
#include "tests/support/temp_dir.h"

namespace sluice::testing {

// SHA-256 of the certificate in a PEM file.
Sha256Digest FingerprintOf(const std::string& certificate_file);

struct TestName {
  std::string text;
  int type = V_ASN1_UTF8STRING;  // taken as it is, without any check
};

// Failing to make something is the end of the test program.
class TestPki {
 public:
  TestPki();  // an authority of its own
  // Signs for an authority that there is. `trusted_file` has what its clients trust.
  TestPki(const std::string& ca_file, const std::string& ca_key_file,
          const std::string& trusted_file);

  std::string ca_file() const { return ca_file_; }
  // A server for localhost and 127.0.0.1: lines for a listener of mosquitto.conf.
  std::vector<std::string> ServerLines() const;
  // A client's certificate with these common names in its subject, in this order.
  RawTls Client(const std::vector<TestName>& common_names);

 private:
  void Issue(const std::vector<TestName>& common_names, const std::string& name);

  TempDir directory_;
  const std::string ca_file_;
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> ca_key_;
  std::unique_ptr<X509, decltype(&X509_free)> ca_;
  int issued_ = 0;
};

// Common names by which a certificate names no device, though t1/d1 and t1/d2 are devices.
const std::vector<std::vector<TestName>>& NamesOfNoDevice();

}  // namespace sluice::testing
