#include "loadtest/model.h"

#include <openssl/sha.h>

#include <algorithm>
#include <array>

#include "base/escape.h"

namespace sluice::loadtest {
namespace {

constexpr int kSites = 3;
constexpr int kSpecialSenders = 3;  // per tenant, in the order of Senders()

constexpr std::array<std::string_view, kKindCount> kNames = {
    "good",
    "wrong_token",
    "no_token",
    "wrong_site",
    "unknown_device",
    "tenant_mismatch",
    "missing_site",
    "bad_json",
    "too_many_metrics",
    "ancient_time",
    "bad_topic",
    "oversized",
    "revoked_device",
    "suspended_subscription",
    "impostor",
};

std::string TenantName(int tenant) {
  return "tenant-" + std::to_string(tenant + 1);
}

std::string Sha256Hex(std::string_view text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return ToHex({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

std::string SubscriptionRow(const std::string& tenant, std::string_view status, int devices) {
  const bool active = status == "ACTIVE";
  return "  ('" + std::string(active ? "main-" : "suspended-") + tenant + "', '" + tenant + "', '" +
         std::string(status) + "', '" + (active ? "MAIN" : "ADDON") + "', " +
         std::to_string(devices) + ", " + std::to_string(devices) + ")";
}

std::string DeviceRow(const FleetShape& shape, const Sender& sender, std::string_view subscription,
                      std::string_view status) {
  return "  ('" + sender.tenant + "', '" + sender.device + "', '" + sender.site + "', '" +
         std::string(status) + "', '" + Sha256Hex(TokenOf(shape, sender)) + "', '" +
         std::string(subscription) + "-" + sender.tenant + "')";
}

// INSERTs of as many rows as a server reads at once with ease.
std::string InsertSql(const std::string& into, const std::vector<std::string>& rows) {
  constexpr size_t kRowsAtOnce = 10000;
  std::string sql;
  for (size_t i = 0; i < rows.size(); ++i) {
    const bool first = i % kRowsAtOnce == 0;
    const bool last = (i + 1) % kRowsAtOnce == 0 || i + 1 == rows.size();
    if (first) sql += "INSERT INTO " + into + " VALUES\n";
    sql += rows[i] + (last ? "\nON CONFLICT DO NOTHING;\n" : ",\n");
  }
  return sql;
}

}  // namespace

std::string_view KindName(Kind kind) {
  return kNames[static_cast<size_t>(kind)];
}

Result<std::vector<Kind>> ParseBadKinds(std::string_view list, Proof proof) {
  const Kind harmless = proof == Proof::kLogin ? Kind::kNoToken : Kind::kImpostor;
  std::vector<Kind> kinds;
  if (list == "all") {
    for (size_t i = 1; i < kKindCount; ++i) {
      if (static_cast<Kind>(i) != harmless) kinds.push_back(static_cast<Kind>(i));
    }
    return kinds;
  }
  while (!list.empty()) {
    const std::string_view name = list.substr(0, list.find(','));
    const auto found = std::find(kNames.begin() + 1, kNames.end(), name);
    const auto kind = static_cast<Kind>(found - kNames.begin());
    if (found == kNames.end() || kind == harmless) {
      return Status(ErrorCode::kInvalidArgument,
                    "no such kind of bad message here: " + std::string(name));
    }
    kinds.push_back(kind);
    list.remove_prefix(std::min(list.size(), name.size() + 1));
  }
  return kinds;
}

bool NeedsService(Kind kind) {
  return kind == Kind::kBadTopic || kind == Kind::kUnknownDevice || kind == Kind::kRevokedDevice ||
         kind == Kind::kImpostor;
}

std::vector<Sender> Senders(const FleetShape& shape) {
  std::vector<Sender> senders;
  senders.reserve(static_cast<size_t>(shape.devices) +
                  static_cast<size_t>(shape.tenants) * kSpecialSenders);
  for (int i = 0; i < shape.devices; ++i) {
    senders.push_back({TenantName(i % shape.tenants), "device-" + std::to_string(i + 1),
                       "site-" + std::to_string(i % kSites + 1)});
  }
  for (int t = 0; t < shape.tenants; ++t) {
    senders.push_back({TenantName(t), "revoked-1", "site-1", false});
    senders.push_back({TenantName(t), "suspended-1", "site-1"});
    senders.push_back({TenantName(t), "unknown-1", "site-1", false});
  }
  return senders;
}

uint32_t SenderOf(const FleetShape& shape, Kind kind, uint32_t turn) {
  const uint32_t special = static_cast<uint32_t>(shape.devices) +
                           turn % static_cast<uint32_t>(shape.tenants) * kSpecialSenders;
  switch (kind) {
    case Kind::kRevokedDevice:
      return special;
    case Kind::kSuspendedSubscription:
      return special + 1;
    case Kind::kUnknownDevice:
      return special + 2;
    default:
      return turn;
  }
}

std::string TokenOf(const FleetShape& shape, const Sender& sender) {
  return shape.token_prefix + "-" + sender.tenant + "-" + sender.device;
}

std::string RegisterSql(const FleetShape& shape) {
  const std::vector<Sender> senders = Senders(shape);
  std::vector<std::string> subscriptions;
  std::vector<std::string> devices;
  const auto good = static_cast<size_t>(shape.devices);
  devices.reserve(senders.size());
  for (size_t i = 0; i < good; ++i) {
    devices.push_back(DeviceRow(shape, senders[i], "main", "ACTIVE"));
  }
  for (int t = 0; t < shape.tenants; ++t) {
    const int own = shape.devices / shape.tenants + (t < shape.devices % shape.tenants ? 1 : 0);
    subscriptions.push_back(SubscriptionRow(TenantName(t), "ACTIVE", own + 1));
    subscriptions.push_back(SubscriptionRow(TenantName(t), "SUSPENDED", 1));
    const size_t special = good + static_cast<size_t>(t) * kSpecialSenders;
    devices.push_back(DeviceRow(shape, senders[special], "main", "REVOKED"));
    devices.push_back(DeviceRow(shape, senders[special + 1], "suspended", "ACTIVE"));
  }
  return "BEGIN;\n" +
         InsertSql(
             "subscriptions (subscription_id, tenant_id, status, subscription_type,\n"
             "                           device_limit, active_device_count)",
             subscriptions) +
         InsertSql(
             "device_registry (tenant_id, device_id, site_id, status,\n"
             "                             provision_token_hash, subscription_id)",
             devices) +
         "COMMIT;\n";
}

}  // namespace sluice::loadtest
