// Cutting provision tokens out of payloads before anything is stored or logged.
#pragma once

#include <string>
#include <string_view>

namespace sluice {

// What stands in place of a token. A valid JSON string, so valid JSON stays valid.
inline constexpr std::string_view kCutToken = "\"(cut)\"";
// The same as the value of a JSON string.
inline constexpr std::string_view kCutTokenValue = kCutToken.substr(1, kCutToken.size() - 2);

// A copy of `payload` in which the value of every key provision_token, at any depth, is replaced by
// kCutToken. Works on bytes and needs no valid JSON: the key may be quoted with " or ' or not at
// all, letters may be \uXXXX escapes or of either case, the separator ':' or '=' with white space
// around it; a quoted value ends at its closing quote or at the end of the payload, a bare one at
// , ; & } ] or white space; an object or array as value is cut whole (to the end of the payload if
// it is not closed). In valid JSON a string that holds a key and value of that name (JSON within
// JSON, say) is cut whole, so that valid JSON stays valid. Cuts too much rather than too little.
// Cutting twice changes nothing more.
std::string CutSecrets(std::string_view payload);

// True for provision_token in letters of either case: the name of a JSON key, unescaped.
bool IsSecretKey(std::string_view key);

}  // namespace sluice
