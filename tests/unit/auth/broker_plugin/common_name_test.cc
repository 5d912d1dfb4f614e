#include "auth/broker_plugin/common_name.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace sluice {
namespace {

struct Name {
  std::string text;
  int type = V_ASN1_UTF8STRING;
};

// What SoleCommonName says of a certificate with these common names, as a copy.
std::optional<std::string> Read(const std::vector<Name>& names) {
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(X509_new(), X509_free);
  X509_NAME* const subject = X509_get_subject_name(certificate.get());
  X509_NAME_add_entry_by_NID(subject, NID_organizationName, MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("x/y"), -1, -1, 0);
  for (const Name& name : names) {
    // A type of its own instead of MBSTRING_*: so the text is taken without any check.
    X509_NAME_ENTRY* entry =
        X509_NAME_ENTRY_create_by_NID(nullptr, NID_commonName, name.type,
                                      reinterpret_cast<const unsigned char*>(name.text.data()),
                                      static_cast<int>(name.text.size()));
    X509_NAME_add_entry(subject, entry, -1, 0);
    X509_NAME_ENTRY_free(entry);
  }
  const auto found = SoleCommonName(*certificate);
  return found ? std::optional<std::string>(*found) : std::nullopt;
}

TEST(CommonName, IsTheOneInTheSubject) {
  EXPECT_EQ(Read({{"t/d"}}), "t/d");
  EXPECT_EQ(Read({{"t/d", V_ASN1_PRINTABLESTRING}}), "t/d");
  EXPECT_EQ(Read({{std::string(64, 'x')}}), std::string(64, 'x'));
}

TEST(CommonName, IsNoneWhenThereIsNotExactlyOne) {
  EXPECT_EQ(Read({}), std::nullopt);
  EXPECT_EQ(Read({{"t/d"}, {"t/e"}}), std::nullopt);
  EXPECT_EQ(Read({{"t/d"}, {"t/d"}}), std::nullopt);
}

TEST(CommonName, IsNoneWhenItIsEmptyTooLongOrHoldsANul) {
  EXPECT_EQ(Read({{""}}), std::nullopt);
  EXPECT_EQ(Read({{std::string(65, 'x')}}), std::nullopt);
  EXPECT_EQ(Read({{std::string("t/d\0", 4)}}), std::nullopt);
}

TEST(CommonName, IsNoneWhenItsBytesMeanOtherCharacters) {
  EXPECT_EQ(Read({{"t/dd", V_ASN1_BMPSTRING}}), std::nullopt);
  EXPECT_EQ(Read({{"t/dd", V_ASN1_UNIVERSALSTRING}}), std::nullopt);
  EXPECT_EQ(Read({{"t/dd", V_ASN1_T61STRING}}), std::nullopt);
}

}  // namespace
}  // namespace sluice
