// Status and Result: how functions of this project report failure without exceptions.
//
// Exceptions of third-party libraries are caught in the file that includes them and become one of
// these. Both types are value types and are safe to use from any thread that owns the object.
#pragma once

#include <cassert>
#include <string>
#include <utility>
#include <variant>

namespace sluice {

enum class ErrorCode {
  kInvalidArgument,  // the caller or the operator gave something unusable
  kNotFound,
  kIo,           // the operating system refused a file operation
  kNoSpace,      // ENOSPC or EDQUOT: the disk, or the spool's share of it, is full
  kCorrupt,      // stored bytes are not what was written
  kUnavailable,  // a server cannot be reached or refuses for now; worth retrying
  kRejected,     // a server answered, and its answer was no; see the message
  kTimeout,
  kCancelled,  // the process is stopping
};

// Success, or a code for the program and a sentence for the operator. The sentence never holds a
// secret and is escaped when it is logged, not here.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(ErrorCode code, std::string message)
      : failed_(true), code_(code), message_(std::move(message)) {}

  static Status Ok() { return {}; }

  bool ok() const { return !failed_; }
  // Only meaningful when !ok().
  ErrorCode code() const { return code_; }
  const std::string& message() const { return message_; }

 private:
  bool failed_ = false;
  ErrorCode code_ = ErrorCode::kInvalidArgument;
  std::string message_;
};

// A value, or the Status that says why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}        // NOLINT(google-explicit-constructor)
  Result(Status status) : state_(std::move(status)) {  // NOLINT(google-explicit-constructor)
    assert(!std::get<Status>(state_).ok());
  }

  bool ok() const { return std::holds_alternative<T>(state_); }
  Status status() const { return ok() ? Status::Ok() : std::get<Status>(state_); }
  ErrorCode code() const { return std::get<Status>(state_).code(); }
  const std::string& message() const { return std::get<Status>(state_).message(); }

  T& operator*() & { return std::get<T>(state_); }
  const T& operator*() const& { return std::get<T>(state_); }
  T&& operator*() && { return std::get<T>(std::move(state_)); }
  T* operator->() { return &std::get<T>(state_); }
  const T* operator->() const { return &std::get<T>(state_); }

 private:
  std::variant<T, Status> state_;
};

}  // namespace sluice
