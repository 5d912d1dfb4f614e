#include "auth/broker_plugin/device_roster.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

bool Has(const DeviceFacts& facts, const Sha256Digest& certificate) {
  return std::find(facts.certificates.begin(), facts.certificates.end(), certificate) !=
         facts.certificates.end();
}

// True when a session that the facts of `before` allowed must not go on under `after`.
bool Lost(const DeviceFacts& before, const DeviceFacts& after) {
  return (before.active && !after.active) ||
         (before.token_hash && before.token_hash != after.token_hash) ||
         !std::all_of(before.certificates.begin(), before.certificates.end(),
                      [&](const Sha256Digest& one) { return Has(after, one); });
}

}  // namespace

DeviceRoster::DeviceRoster(RosterLimits limits)
    : limits_(limits), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

void DeviceRoster::Wake() {
  (void)::eventfd_write(wake_.get(), 1);
}

DeviceRoster::Entry* DeviceRoster::Find(std::string_view identity, int64_t now) {
  const auto found = entries_.find(identity);
  if (found == entries_.end()) return nullptr;
  found->second.used = now;
  return &found->second;
}

bool DeviceRoster::Meets(const DeviceFacts& facts, Need need) {
  return need == Need::kNothing ||
         (facts.active && (!facts.certificates.empty() || need != Need::kCertificate));
}

void DeviceRoster::Ask(std::string_view identity, Need need) {
  if (const auto found = questions_.find(identity); found != questions_.end()) {
    found->second = std::max(found->second, need);
    return;
  }
  if (const auto found = asked_.find(identity); found != asked_.end()) {
    found->second = std::max(found->second, need);
    return;
  }
  if (questions_.size() >= limits_.questions) return;
  questions_.emplace(identity, need);
  if (questions_.size() == 1) Wake();
}

void DeviceRoster::Kick(std::string_view identity) {
  if (kicks_.size() >= limits_.devices || !kicks_.emplace(identity).second) return;
  kick_order_.emplace_back(identity);
}

void DeviceRoster::Remove(Entries::iterator entry) {
  by_age_.erase(entry->second.place);
  entries_.erase(entry);
}

DeviceRoster::Verdict DeviceRoster::JudgeToken(std::string_view identity, std::string_view token,
                                               int64_t now) {
  const Sha256Digest given = Sha256(token);
  std::lock_guard lock(mutex_);
  const Entry* entry = Find(identity, now);
  if (entry == nullptr || now - entry->looked_up > limits_.token_trust_us) {
    Ask(identity, Need::kNothing);
    return Verdict::kUnknown;
  }
  const DeviceFacts& facts = entry->facts;
  const bool good = facts.active && facts.token_hash && DigestsEqual(*facts.token_hash, given);
  return good ? Verdict::kGood : Verdict::kBad;
}

DeviceRoster::Verdict DeviceRoster::JudgeSession(std::string_view identity,
                                                 const std::optional<Sha256Digest>& certificate,
                                                 int64_t now) {
  std::lock_guard lock(mutex_);
  const Entry* entry = Find(identity, now);
  if (entry == nullptr) {
    Ask(identity, certificate ? Need::kCertificate : Need::kActive);
    return Verdict::kUnknown;
  }
  const bool proven = !certificate || Has(entry->facts, *certificate);
  return entry->facts.active && proven ? Verdict::kGood : Verdict::kBad;
}

std::vector<std::string> DeviceRoster::TakeKicks(size_t max) {
  std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  while (!kick_order_.empty() && names.size() < max) {
    kicks_.erase(kick_order_.front());
    names.push_back(std::move(kick_order_.front()));
    kick_order_.pop_front();
  }
  return names;
}

std::vector<std::string> DeviceRoster::TakeQuestions(size_t max, int64_t now,
                                                     int64_t looked_up_before) {
  eventfd_t ignored = 0;
  (void)::eventfd_read(wake_.get(), &ignored);
  std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  while (!questions_.empty() && names.size() < max) {
    auto question = questions_.extract(questions_.begin());
    names.push_back(question.key());
    asked_.insert(std::move(question));
  }
  for (auto oldest = by_age_.begin(); oldest != by_age_.end() && names.size() < max;) {
    const auto entry = entries_.find(*oldest++);
    if (entry->second.looked_up >= looked_up_before) break;
    if (now - entry->second.used > limits_.idle_us) {
      Remove(entry);
    } else if (asked_.emplace(entry->first, Need::kNothing).second) {
      names.push_back(entry->first);
    }
  }
  if (!questions_.empty()) Wake();
  return names;
}

void DeviceRoster::Answer(std::string_view identity, const std::optional<DeviceFacts>& facts,
                          int64_t now) {
  std::lock_guard lock(mutex_);
  Need need = Need::kNothing;
  if (const auto asked = asked_.find(identity); asked != asked_.end()) {
    need = asked->second;
    asked_.erase(asked);
  }
  const DeviceFacts answer = facts.value_or(DeviceFacts{});
  const auto known = entries_.find(identity);
  if (known != entries_.end()) {
    if (Lost(known->second.facts, answer)) Kick(identity);
    known->second.facts = answer;
    known->second.looked_up = now;
    by_age_.splice(by_age_.end(), by_age_, known->second.place);
    return;
  }
  // Invented names that only try to log in are not worth remembering.
  if (!facts && need == Need::kNothing) return;
  if (!Meets(answer, need)) Kick(identity);
  if (entries_.size() >= limits_.devices) Remove(entries_.find(by_age_.front()));
  const auto place = by_age_.emplace(by_age_.end(), identity);
  entries_.emplace(identity, Entry{.facts = answer, .looked_up = now, .used = now, .place = place});
}

void DeviceRoster::GiveBack(const std::vector<std::string>& questions) {
  std::lock_guard lock(mutex_);
  for (const std::string& identity : questions) {
    const auto asked = asked_.find(identity);
    if (asked == asked_.end()) continue;
    const Need need = asked->second;
    asked_.erase(asked);
    // What is known is old by now, and comes again by its age.
    if (!entries_.contains(identity)) Ask(identity, need);
  }
}

void DeviceRoster::Revoke(std::string_view identity) {
  std::lock_guard lock(mutex_);
  if (const auto known = entries_.find(identity); known != entries_.end()) Remove(known);
  Kick(identity);
  Ask(identity, Need::kActive);
}

size_t DeviceRoster::size() const {
  std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace sluice
