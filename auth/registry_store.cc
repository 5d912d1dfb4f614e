#include "auth/registry_store.h"

#include <charconv>

#include "base/log.h"

namespace sluice {
namespace {

// Keys arrive as two text arrays; ORDINALITY gives the answers their places. Certificates come as
// "fingerprint=not_after" with a space after each; some tools write colons into fingerprints.
constexpr const char* kLookupSql = R"sql(
SELECT k.ord, r.site_id, r.status = 'ACTIVE', s.status, r.provision_token_hash,
       c.any_certificate, c.active, r.location_source IS NULL OR r.location_source = 'auto',
       r.latitude, r.longitude
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS k(tenant_id, device_id, ord)
JOIN device_registry r ON r.tenant_id = k.tenant_id AND r.device_id = k.device_id
LEFT JOIN subscriptions s ON s.subscription_id = r.subscription_id
CROSS JOIN LATERAL (
  SELECT count(*) > 0 AS any_certificate,
         string_agg(translate(d.fingerprint_sha256, ': ', '') || '=' || (extract(epoch FROM
                      least(d.not_after, '9999-01-01 00:00Z')) * 1000000)::bigint || ' ', '')
           FILTER (WHERE d.status = 'ACTIVE' AND d.not_before <= now()) AS active
  FROM device_certificates d
  WHERE d.tenant_id = k.tenant_id AND d.device_id = k.device_id) c)sql";

// Column numbers of kLookupSql.
enum : int {
  kOrd,
  kSite,
  kActive,
  kSubStatus,
  kTokenHash,
  kAnyCert,
  kCertificates,
  kAuto,
  kLat,
  kLng
};

Subscription SubscriptionFrom(std::string_view status) {
  if (status == "SUSPENDED") return Subscription::kSuspended;
  if (status == "EXPIRED") return Subscription::kExpired;
  return Subscription::kOpen;
}

std::vector<DeviceRecord::Certificate> CertificatesFrom(std::string_view text) {
  std::vector<DeviceRecord::Certificate> certificates;
  while (!text.empty()) {
    const size_t end = text.find(' ');
    const std::string_view entry = text.substr(0, end);
    const size_t equals = entry.rfind('=');
    DeviceRecord::Certificate certificate{};
    certificate.fingerprint = DigestFromHex(entry.substr(0, equals)).value_or(Sha256Digest{});
    std::from_chars(entry.data() + equals + 1, entry.data() + entry.size(), certificate.until);
    certificates.push_back(certificate);
    text.remove_prefix(end + 1);
  }
  return certificates;
}

DeviceRef RecordFrom(const PgRows& rows, int row) {
  auto record = std::make_shared<DeviceRecord>();
  record->site_id = rows.Text(row, kSite);
  record->active = rows.Bool(row, kActive);
  record->subscription = SubscriptionFrom(rows.Text(row, kSubStatus));
  record->token_hash = DigestFromHex(rows.Text(row, kTokenHash));
  record->has_certificate = rows.Bool(row, kAnyCert);
  record->certificates = CertificatesFrom(rows.Text(row, kCertificates));
  record->location_follows_device = rows.Bool(row, kAuto);
  if (!rows.IsNull(row, kLat)) record->latitude = rows.Double(row, kLat);
  if (!rows.IsNull(row, kLng)) record->longitude = rows.Double(row, kLng);
  return record;
}

// What an operator reads in /ready when the tables do not answer.
constexpr const char* kLookingUp =
    "looking devices up (device_registry, subscriptions, device_certificates)";
constexpr const char* kAdding = "adding a device (device_registry, subscriptions)";

// The subscription that a new device of tenant $1 belongs to.
const std::string kNewcomersSubscription = R"sql( FROM subscriptions
  WHERE tenant_id = $1 AND subscription_type = 'MAIN' AND status = 'ACTIVE'
  ORDER BY created_at, subscription_id LIMIT 1)sql";
const std::string kHasRoom = "active_device_count < device_limit";

constexpr const char* kSubscriptionSql = R"sql(
SELECT r.subscription_id, s.subscription_id IS NOT NULL, s.subscription_type, s.status
FROM device_registry r LEFT JOIN subscriptions s ON s.subscription_id = r.subscription_id
WHERE r.tenant_id = $1 AND r.device_id = $2 AND r.subscription_id IS NOT NULL)sql";

// One transaction in one statement block. The advisory lock makes two daemons that meet the same
// new device take turns; the subscription's row lock keeps active_device_count true.
const std::string kProvisionSql = "WITH room AS (SELECT subscription_id" + kNewcomersSubscription +
                                  R"sql( FOR UPDATE),
taken AS (
  UPDATE subscriptions s
  SET active_device_count = s.active_device_count + 1, updated_at = now()
  FROM room WHERE s.subscription_id = room.subscription_id AND )sql" +
                                  kHasRoom + R"sql(
  RETURNING s.subscription_id)
INSERT INTO device_registry (tenant_id, device_id, site_id, status, subscription_id)
SELECT $1, $2, $3, 'ACTIVE', subscription_id FROM taken)sql";

}  // namespace

PgResult<std::vector<DeviceRef>> RegistryStore::Lookup(std::span<const DeviceKeyView> keys) {
  auto connection = session_.Acquire();
  if (!connection.ok()) return connection.error();
  PgTextArray tenants;
  PgTextArray devices;
  for (const DeviceKeyView& key : keys) {
    tenants.Add(key.tenant);
    devices.Add(key.device);
  }
  auto rows = (*connection)->ExecParams(kLookupSql, {tenants.Text(), devices.Text()});
  if (!rows.ok()) return rows.error().During(kLookingUp);
  std::vector<DeviceRef> records(keys.size());
  for (int row = 0; row < rows->size(); ++row) {
    records[static_cast<size_t>(rows->Int(row, kOrd)) - 1] = RecordFrom(*rows, row);
  }
  return records;
}

PgResult<Provisioned> RegistryStore::Provision(DeviceKeyView key, std::string_view site_id) {
  auto connection = session_.Acquire();
  if (!connection.ok()) return connection.error();
  PgConnection& db = **connection;
  const std::string tenant(key.tenant);
  const std::string device(key.device);

  if (auto begun = db.Exec(session_.BeginSql()); !begun.ok()) return begun.error().During(kAdding);
  const auto give_up = [&db](const PgError& error) {
    if (db.alive()) (void)db.Exec("ROLLBACK").ok();
    return error.During(kAdding);
  };
  auto locked = db.ExecParams(
      "SELECT pg_advisory_xact_lock(hashtextextended('sluice provision ' || $1, 0))", {tenant});
  if (!locked.ok()) return give_up(locked.error());
  auto known = db.ExecParams(
      "SELECT 1 FROM device_registry WHERE tenant_id = $1 AND device_id = $2", {tenant, device});
  if (!known.ok()) return give_up(known.error());
  bool registered = known->size() > 0;
  if (!registered) {
    auto added = db.ExecParams(kProvisionSql, {tenant, device, std::string(site_id)});
    if (!added.ok()) return give_up(added.error());
    registered = added->affected() > 0;
    if (registered) LogInfo("device_provisioned", {{"tenant", tenant}, {"device", device}});
  }
  if (auto done = db.Exec("COMMIT"); !done.ok()) return done.error().During(kAdding);
  return registered ? Provisioned::kRegistered : Provisioned::kNoCapacity;
}

PgResult<std::optional<SubscriptionSeen>> RegistryStore::SubscriptionOf(DeviceKeyView key) {
  auto connection = session_.Acquire();
  if (!connection.ok()) return connection.error();
  auto rows =
      (*connection)
          ->ExecParams(kSubscriptionSql, {std::string(key.tenant), std::string(key.device)});
  if (!rows.ok()) return rows.error().During(kLookingUp);
  if (rows->size() == 0) return std::optional<SubscriptionSeen>();
  return std::optional(SubscriptionSeen{std::string(rows->Text(0, 0)), rows->Bool(0, 1),
                                        std::string(rows->Text(0, 2)),
                                        std::string(rows->Text(0, 3))});
}

PgResult<bool> RegistryStore::HasRoom(std::string_view tenant) {
  auto connection = session_.Acquire();
  if (!connection.ok()) return connection.error();
  auto rows =
      (*connection)
          ->ExecParams("SELECT " + kHasRoom + kNewcomersSubscription, {std::string(tenant)});
  if (!rows.ok()) return rows.error().During(kAdding);
  return rows->size() > 0 && rows->Bool(0, 0);
}

}  // namespace sluice
