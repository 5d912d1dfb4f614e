#include "auth/broker_plugin/common_name.h"

namespace sluice {

std::optional<std::string_view> SoleCommonName(const X509& certificate) {
  constexpr size_t kMaxBytes = 64;
  const X509_NAME* const subject = X509_get_subject_name(&certificate);
  const int first = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (first < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, first) >= 0) {
    return std::nullopt;
  }
  const ASN1_STRING* const text = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, first));
  const int type = ASN1_STRING_type(text);
  if (type != V_ASN1_UTF8STRING && type != V_ASN1_PRINTABLESTRING && type != V_ASN1_IA5STRING) {
    return std::nullopt;
  }
  const std::string_view name(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                              static_cast<size_t>(ASN1_STRING_length(text)));
  if (name.empty() || name.size() > kMaxBytes || name.find('\0') != std::string_view::npos) {
    return std::nullopt;
  }
  return name;
}

}  // namespace sluice
