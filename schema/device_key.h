// DeviceKey: the (tenant, device) pair that everything about a device is keyed on. Always the pair,
// never a joined string: ("a", "b/c") and ("a/b", "c") are two devices.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sluice {

// Views; valid as long as what they point to.
struct DeviceKeyView {
  std::string_view tenant;
  std::string_view device;

  friend bool operator==(const DeviceKeyView&, const DeviceKeyView&) = default;
  // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy 14 takes <=> for a comparison with 0
  friend auto operator<=>(const DeviceKeyView&, const DeviceKeyView&) = default;
};

struct DeviceKey {
  std::string tenant;
  std::string device;

  explicit DeviceKey(DeviceKeyView view) : tenant(view.tenant), device(view.device) {}
  // NOLINTNEXTLINE(google-explicit-constructor)
  operator DeviceKeyView() const { return {tenant, device}; }
};

// Seeded anew in every process, so that invented ids cannot be chosen to collide. Transparent: maps
// keyed by DeviceKey are searched with a view, without a copy.
struct DeviceKeyHash {
  using is_transparent = void;
  size_t operator()(DeviceKeyView key) const;
};
struct DeviceKeyEqual {
  using is_transparent = void;
  bool operator()(DeviceKeyView a, DeviceKeyView b) const { return a == b; }
};

}  // namespace sluice
