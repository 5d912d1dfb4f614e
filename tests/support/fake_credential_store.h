// FakeCredentialStore: a registry in memory that writes down what it was asked.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "auth/credential_store.h"

namespace sluice {

// A device that passes every check of the pipeline: site "north", token "tok-apple".
inline DeviceRecord GoodDevice() {
  DeviceRecord record;
  record.site_id = "north";
  record.active = true;
  record.token_hash = Sha256("tok-apple");
  return record;
}

// One thread at a time, like every store.
class FakeCredentialStore final : public CredentialStore {
 public:
  using Key = std::pair<std::string, std::string>;

  void Add(const std::string& tenant, const std::string& device,
           const DeviceRecord& record = GoodDevice()) {
    devices_[{tenant, device}] = std::make_shared<const DeviceRecord>(record);
  }
  void Remove(const std::string& tenant, const std::string& device) {
    devices_.erase({tenant, device});
  }
  // The next calls, of either kind, fail.
  void FailNext(int calls) { failures_ = calls; }

  PgResult<std::vector<DeviceRef>> Lookup(std::span<const DeviceKeyView> keys) override {
    std::vector<Key>& asked = lookups.emplace_back();
    for (const DeviceKeyView& key : keys) asked.push_back(KeyOf(key));
    if (Fails()) return Lost();
    std::vector<DeviceRef> answers;
    for (const Key& key : asked) {
      const auto found = devices_.find(key);
      answers.push_back(found == devices_.end() ? nullptr : found->second);
    }
    return answers;
  }

  PgResult<Provisioned> Provision(DeviceKeyView key, std::string_view site_id) override {
    provisions.push_back(KeyOf(key));
    if (Fails()) return Lost();
    if (devices_.contains(KeyOf(key))) return Provisioned::kRegistered;
    if (room == 0) return Provisioned::kNoCapacity;
    --room;
    DeviceRecord record;
    record.site_id = site_id;
    record.active = true;
    Add(std::string(key.tenant), std::string(key.device), record);
    return Provisioned::kRegistered;
  }

  std::vector<std::vector<Key>> lookups;  // the keys of each query
  std::vector<Key> provisions;
  int room = 0;  // devices that the subscription still takes

 private:
  static Key KeyOf(DeviceKeyView key) { return {std::string(key.tenant), std::string(key.device)}; }
  static PgError Lost() { return {"08006", "connection lost", "", true, false}; }
  bool Fails() { return failures_ > 0 && failures_-- > 0; }

  std::map<Key, DeviceRef> devices_;
  int failures_ = 0;
};

}  // namespace sluice
