#include "auth/pki/device_admin.h"

#include <unistd.h>

#include "base/escape.h"

namespace sluice {
namespace {

constexpr size_t kTokenBytes = 32;

constexpr const char* kAddSql = R"sql(
INSERT INTO device_registry (tenant_id, device_id, site_id, status, provision_token_hash)
VALUES ($1, $2, $3, 'ACTIVE', $4))sql";

constexpr const char* kAddToSubscriptionSql = R"sql(
WITH taken AS (
  UPDATE subscriptions SET active_device_count = active_device_count + 1, updated_at = now()
  WHERE subscription_id = $5 AND tenant_id = $1 AND active_device_count < device_limit
  RETURNING subscription_id)
INSERT INTO device_registry
  (tenant_id, device_id, site_id, status, provision_token_hash, subscription_id)
SELECT $1, $2, $3, 'ACTIVE', $4, subscription_id FROM taken)sql";

constexpr const char* kRevokeDeviceSql = R"sql(
WITH before AS (
  SELECT subscription_id, status FROM device_registry
  WHERE tenant_id = $1 AND device_id = $2 FOR UPDATE),
freed AS (
  UPDATE subscriptions s
  SET active_device_count = greatest(s.active_device_count - 1, 0), updated_at = now()
  FROM before WHERE before.status = 'ACTIVE' AND s.subscription_id = before.subscription_id)
UPDATE device_registry SET status = 'REVOKED', updated_at = now()
FROM before WHERE tenant_id = $1 AND device_id = $2)sql";

constexpr const char* kAddCertificateSql = R"sql(
INSERT INTO device_certificates (tenant_id, device_id, cert_pem, fingerprint_sha256, common_name,
  issuer, serial_number, status, not_before, not_after)
SELECT tenant_id, device_id, $3, $4, $5, $6, $7, 'ACTIVE',
  to_timestamp($8::bigint / 1000000), to_timestamp($9::bigint / 1000000)
FROM device_registry WHERE tenant_id = $1 AND device_id = $2 AND status = 'ACTIVE'
FOR SHARE)sql";

constexpr const char* kRevokeCertificatesSql = R"sql(
UPDATE device_certificates
SET status = 'REVOKED', revoked_at = now(), revoked_reason = $4, updated_at = now()
WHERE tenant_id = $1 AND device_id = $2 AND status = 'ACTIVE'
  AND ($3 = '' OR lower(replace(fingerprint_sha256, ':', '')) = lower(replace($3, ':', '')))
)sql";

constexpr const char* kRevokedSql = R"sql(
SELECT cert_pem, (extract(epoch FROM coalesce(revoked_at, updated_at)) * 1000000)::bigint
FROM device_certificates WHERE status = 'REVOKED' ORDER BY id)sql";

constexpr const char* kDevicesSql = R"sql(
SELECT r.tenant_id AS tenant, r.device_id AS device, r.site_id AS site, r.status,
  r.provision_token_hash IS NOT NULL AS token,
  (SELECT count(*) FROM device_certificates c WHERE c.tenant_id = r.tenant_id
     AND c.device_id = r.device_id AND c.status = 'ACTIVE') AS certificates
FROM device_registry r
WHERE ($1 = '' OR r.tenant_id = $1) AND ($2 = '' OR r.device_id = $2)
  AND ($3 = '' OR r.status = $3)
ORDER BY r.tenant_id, r.device_id)sql";

constexpr const char* kCertificatesSql = R"sql(
SELECT tenant_id AS tenant, device_id AS device, status, fingerprint_sha256 AS fingerprint,
  serial_number AS serial, issuer,
  to_char(not_before AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS not_before,
  to_char(not_after AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS not_after,
  revoked_reason AS reason
FROM device_certificates
WHERE ($1 = '' OR tenant_id = $1) AND ($2 = '' OR device_id = $2) AND ($3 = '' OR status = $3)
ORDER BY tenant_id, device_id, id)sql";

Status StatusFrom(const PgError& error, const std::string& what) {
  const std::string text = error.During(what).Describe();
  if (error.sqlstate.empty()) return {ErrorCode::kUnavailable, text};
  if (error.sqlstate == "23505") return {ErrorCode::kRejected, what + ": it is there already"};
  if (error.sqlstate == "42P01") return {ErrorCode::kRejected, text + ": run sluice migrate first"};
  if (error.sqlstate == "42501") {
    return {ErrorCode::kRejected, text + ": this is for the tables' owner, not the daemon's role"};
  }
  return {ErrorCode::kRejected, text};
}

std::string In(const std::string& sql, ListFormat format) {
  if (format == ListFormat::kRows) return sql;
  return "SELECT coalesce(json_agg(t), '[]') FROM (" + sql + ") t";
}

Status NoSuchDevice(const std::string& tenant, const std::string& device) {
  return {ErrorCode::kNotFound, tenant + "/" + device + " is not registered"};
}

}  // namespace

Result<std::string> NewProvisionToken() {
  std::array<char, kTokenBytes> random;
  if (::getentropy(random.data(), random.size()) != 0) {
    return Status(ErrorCode::kIo, "the system gives no random bytes");
  }
  return ToHex({random.data(), random.size()});
}

Result<DeviceAdmin> DeviceAdmin::Open(PgConnection* db) {
  DeviceAdmin admin(db);
  const auto hidden = admin.Do("looking at the tables", R"sql(
SELECT row_security_active('public.device_certificates')
    OR row_security_active('public.device_registry'), current_user)sql");
  if (!hidden.ok()) return hidden.status();
  if (!hidden->Bool(0, 0)) return admin;
  return Status(ErrorCode::kRejected, "row level security may hide devices from the role " +
                                          std::string(hidden->Text(0, 1)) +
                                          ": this is for the tables' owner, not the daemon's role");
}

Result<PgRows> DeviceAdmin::Do(const std::string& what, const std::string& sql,
                               const std::vector<PgParam>& params) {
  PgResult<PgRows> rows = db_->ExecParams(sql, params);
  if (!rows.ok()) return StatusFrom(rows.error(), what);
  return std::move(*rows);
}

Status DeviceAdmin::Begin() {
  return Do("beginning", "BEGIN ISOLATION LEVEL READ COMMITTED").status();
}

Status DeviceAdmin::Commit() {
  return Do("committing", "COMMIT").status();
}

Status DeviceAdmin::Add(const NewDevice& device) {
  const std::string what = "adding " + device.tenant + "/" + device.device;
  std::vector<PgParam> params = {device.tenant, device.device, device.site, device.token_hash};
  if (device.subscription) params.push_back(device.subscription);
  const auto added = Do(what, device.subscription ? kAddToSubscriptionSql : kAddSql, params);
  if (!added.ok() || added->affected() > 0) return added.status();
  return {ErrorCode::kRejected, what + ": the tenant has no subscription " + *device.subscription +
                                    " with room for one more"};
}

Result<int64_t> DeviceAdmin::Revoke(const std::string& tenant, const std::string& device,
                                    const std::string& reason) {
  const std::string what = "revoking " + tenant + "/" + device;
  const auto revoked = Do(what, kRevokeDeviceSql, {tenant, device});
  if (!revoked.ok()) return revoked.status();
  if (revoked->affected() == 0) return NoSuchDevice(tenant, device);
  // A statement of its own, so that it sees a certificate whose issuing the first one waited for.
  const auto certificates = Do(what, kRevokeCertificatesSql, {tenant, device, "", reason});
  if (!certificates.ok()) return certificates.status();
  return certificates->affected();
}

Status DeviceAdmin::SetTokenHash(const std::string& tenant, const std::string& device,
                                 const std::string& token_hash) {
  const auto set = Do("setting the token of " + tenant + "/" + device,
                      "UPDATE device_registry SET provision_token_hash = $3,"
                      " provision_token = NULL, updated_at = now()"
                      " WHERE tenant_id = $1 AND device_id = $2",
                      {tenant, device, token_hash});
  if (!set.ok() || set->affected() > 0) return set.status();
  return NoSuchDevice(tenant, device);
}

Status DeviceAdmin::AddCertificate(const std::string& tenant, const std::string& device,
                                   const Certificate& certificate) {
  const std::string what = "storing a certificate of " + certificate.common_name;
  const auto added =
      Do(what, kAddCertificateSql,
         {tenant, device, certificate.pem, certificate.fingerprint_sha256, certificate.common_name,
          certificate.issuer, certificate.serial_number, std::to_string(certificate.not_before),
          std::to_string(certificate.not_after)});
  if (!added.ok() || added->affected() > 0) return added.status();
  return {ErrorCode::kNotFound, what + ": the device is not registered, or not ACTIVE"};
}

Result<int64_t> DeviceAdmin::RevokeCertificates(const std::string& tenant,
                                                const std::string& device,
                                                const std::string& fingerprint,
                                                const std::string& reason) {
  const auto revoked = Do("revoking certificates of " + tenant + "/" + device,
                          kRevokeCertificatesSql, {tenant, device, fingerprint, reason});
  if (!revoked.ok()) return revoked.status();
  if (revoked->affected() > 0) return revoked->affected();
  return Status(ErrorCode::kNotFound,
                tenant + "/" + device + " has no such certificate that is ACTIVE");
}

Result<int64_t> DeviceAdmin::MarkExpired() {
  const auto marked = Do("marking expired certificates",
                         "UPDATE device_certificates SET status = 'EXPIRED', updated_at = now()"
                         " WHERE status = 'ACTIVE' AND not_after <= now()");
  if (!marked.ok()) return marked.status();
  return marked->affected();
}

Result<std::vector<RevokedCertificate>> DeviceAdmin::RevokedCertificates() {
  const std::string what = "reading revoked certificates";
  const auto turn =
      Do(what, "SELECT pg_advisory_xact_lock(hashtextextended('sluice revocation list', 0))");
  if (!turn.ok()) return turn.status();
  const auto rows = Do(what, kRevokedSql);
  if (!rows.ok()) return rows.status();
  std::vector<RevokedCertificate> revoked;
  revoked.reserve(static_cast<size_t>(rows->size()));
  for (int row = 0; row < rows->size(); ++row) {
    revoked.push_back(
        {.certificate_pem = std::string(rows->Text(row, 0)), .revoked_at = rows->Int(row, 1)});
  }
  return revoked;
}

Result<PgRows> DeviceAdmin::Devices(const ListFilter& filter, ListFormat format) {
  return Do("listing devices", In(kDevicesSql, format),
            {filter.tenant, filter.device, filter.status});
}

Result<PgRows> DeviceAdmin::Certificates(const ListFilter& filter, ListFormat format) {
  return Do("listing certificates", In(kCertificatesSql, format),
            {filter.tenant, filter.device, filter.status});
}

}  // namespace sluice
