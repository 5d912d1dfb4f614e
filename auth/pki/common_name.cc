#include "auth/pki/common_name.h"

#include "schema/topic.h"

namespace sluice {
namespace {

Status Unusable(std::string_view what, std::string_view name) {
  return {ErrorCode::kInvalidArgument,
          "the " + std::string(what) + " \"" + std::string(name) +
              "\" is no name: 1 to 128 of A-Z a-z 0-9 . _ : - and neither \".\" nor \"..\""};
}

bool IsName(std::string_view text) {
  return IsTopicSegment(text) && text != "." && text != "..";
}

}  // namespace

Result<std::string> DeviceCommonName(std::string_view tenant, std::string_view device) {
  if (!IsName(tenant)) return Unusable("tenant", tenant);
  if (!IsName(device)) return Unusable("device", device);
  std::string name(tenant);
  name.append("/").append(device);
  if (name.size() > kMaxCommonNameBytes) {
    return Status(ErrorCode::kInvalidArgument,
                  name + " has more than the 64 bytes that a certificate's common name may have");
  }
  return name;
}

}  // namespace sluice
