// What `sluice doctor` has found out.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace sluice {

enum class Health { kOk, kWarning, kFailed };

// Texts may hold a server's or a file's words, not escaped; never a secret.
struct Finding {
  std::string area;   // "broker"
  std::string check;  // "login"
  Health health = Health::kOk;
  std::string seen;
  std::string advice;  // what to do; "" when it is kOk
};

// Collects the findings of one area, in order. One thread.
class Findings {
 public:
  explicit Findings(std::string area) : area_(std::move(area)) {}

  void Ok(std::string check, std::string seen) {
    Add(std::move(check), Health::kOk, std::move(seen), "");
  }
  void Warn(std::string check, std::string seen, std::string advice) {
    Add(std::move(check), Health::kWarning, std::move(seen), std::move(advice));
  }
  void Fail(std::string check, std::string seen, std::string advice) {
    Add(std::move(check), Health::kFailed, std::move(seen), std::move(advice));
  }
  std::vector<Finding> Take() { return std::move(found_); }

 private:
  void Add(std::string check, Health health, std::string seen, std::string advice) {
    found_.push_back({area_, std::move(check), health, std::move(seen), std::move(advice)});
  }

  const std::string area_;
  std::vector<Finding> found_;
};

}  // namespace sluice
