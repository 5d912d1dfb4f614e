#include "tests/fault/judge.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

namespace sluice::testing {
namespace {

using Counts = std::unordered_map<std::string, size_t>;

// Pages, because a campaign's millions of rows do not fit into one answer.
void ReadIds(PgConnection& db, const std::string& select, Counts* counts) {
  constexpr const char* kPage = "FETCH 100000 FROM ids";
  auto begun = db.Exec("BEGIN; DECLARE ids NO SCROLL CURSOR FOR " + select);
  ASSERT_TRUE(begun.ok()) << begun.error().Describe();
  for (;;) {
    auto rows = db.Exec(kPage);
    ASSERT_TRUE(rows.ok()) << rows.error().Describe();
    for (int i = 0; i < rows->size(); ++i) ++(*counts)[std::string(rows->Text(i, 0))];
    if (rows->size() == 0) break;
  }
  ASSERT_TRUE(db.Exec("COMMIT").ok());
}

}  // namespace

AckLog ReadAckLog(const std::string& path) {
  AckLog published;
  std::ifstream log(path);
  for (std::string line; std::getline(log, line);) {
    // A fourth word names what is wrong with the message.
    const size_t third = line.find(' ', line.find(' ', line.find(' ') + 1) + 1);
    published[line.substr(0, third)] = third == std::string::npos;
  }
  return published;
}

Judgement Judge(PgConnection& db, const AckLog& published, const MqttTap* tap) {
  Counts stored;
  Counts kept;
  ReadIds(db, "SELECT tenant_id || ' ' || device_id || ' ' || seq FROM telemetry", &stored);
  ReadIds(db,
          "SELECT coalesce(tenant_id, '') || ' ' || coalesce(device_id, '') || ' ' || "
          "coalesce(payload->>'seq', '') FROM quarantine_events",
          &kept);
  const auto count = [](const Counts& counts, const std::string& id) {
    const auto found = counts.find(id);
    return found == counts.end() ? size_t{0} : found->second;
  };

  Judgement judgement;
  judgement.acknowledged = published.size();
  const auto expect = [&](const std::string& id) {
    if (count(stored, id) + count(kept, id) > 0) return;
    ++judgement.lost;
    judgement.example_lost = id;
    judgement.lost_ids.insert(id);
  };
  for (const auto& [id, good] : published) {
    expect(id);
    if (!good) judgement.wrongly_accepted += count(stored, id);
  }
  Counts delivered;
  if (tap != nullptr) {
    for (const std::string& id : tap->acknowledged()) {
      if (!published.contains(id)) expect(id);
    }
    delivered = tap->delivered();
  }
  Counts all = stored;
  for (const auto& [id, n] : kept) all[id] += n;
  for (const auto& [id, n] : all) {
    const size_t allowed = std::max<size_t>(1, count(delivered, id));
    if (n <= allowed) continue;
    judgement.duplicated += n - allowed;
    judgement.example_duplicated = id;
  }
  return judgement;
}

}  // namespace sluice::testing
