// Any bytes through CutSecrets: no token is left, cutting again changes nothing, and valid JSON
// stays valid.
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "schema/secrets.h"
#include "tests/fuzz/check.h"

namespace {

using nlohmann::json;
using sluice::CutSecrets;

constexpr std::string_view kSecret = "tok-3f9c-apple";

void CheckTreeHasNoToken(const json& node) {
  for (const auto& [key, value] : node.items()) {
    if (node.is_object() && sluice::IsSecretKey(key)) FUZZ_CHECK(value == "(cut)");
    if (value.is_structured()) CheckTreeHasNoToken(value);
  }
}

// The parser takes a NUL for the end of the text.
json Parse(const std::string& text) {
  return text.find('\0') == std::string::npos ? json::parse(text, nullptr, false)
                                              : json(json::value_t::discarded);
}

void CheckCut(const std::string& payload) {
  const std::string cut = CutSecrets(payload);
  FUZZ_CHECK(CutSecrets(cut) == cut);
  const json tree = Parse(cut);
  FUZZ_CHECK(!tree.is_discarded() || Parse(payload).is_discarded());
  if (tree.is_structured()) CheckTreeHasNoToken(tree);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string payload(reinterpret_cast<const char*>(data), size);
  CheckCut(payload);

  // The same bytes with a token in the middle, whatever stands before it.
  const size_t middle = size == 0 ? 0 : data[0] % size;
  const std::string planted = payload.substr(0, middle) + "\"provision_token\":\"" +
                              std::string(kSecret) + "\"" + payload.substr(middle);
  CheckCut(planted);
  if (payload.find(kSecret) == std::string::npos) {
    FUZZ_CHECK(CutSecrets(planted).find(kSecret) == std::string::npos);
  }
  return 0;
}
