// PgConnection: one PostgreSQL connection on libpq with a deadline on every call.
//
// libpq is used directly, not through libpqxx: COPY needs SQLSTATEs and cancellation (libpqxx 6.4
// completes a COPY on unwinding and loses the SQLSTATE), and a stopped backend must not hold a
// thread for ever, which only non-blocking libpq with poll() gives.
//
// One thread at a time. A PgError says whether the connection survived; a broken one must be
// replaced (Connect again). Nothing reconnects by itself, so no session state is lost silently.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/status.h"

struct pg_conn;
struct pg_result;

namespace sluice {

// A text[] as a parameter, written as PostgreSQL reads it.
class PgTextArray {
 public:
  void Add(std::string_view element);
  std::string Text() const { return text_ + "}"; }

 private:
  std::string text_ = "{";
};

// What failed. `sqlstate` is empty when the server did not answer (connection lost, deadline).
struct PgError {
  std::string sqlstate;
  std::string message;  // one line, without secrets; not escaped
  std::string context;  // the server's CONTEXT, e.g. "COPY telemetry, line 7, column metrics"
  bool connection_lost = false;
  bool timed_out = false;
  std::string constraint = {};  // the name of the violated one, where the server tells
  std::string step = {};        // what was being done, for people; see During

  // The same error with that step; what an inner step has set stays.
  PgError During(std::string what) const;
  std::string Describe() const;  // "storing rows: 23514: new row … (COPY telemetry, line 7)"
};

// The rows of one statement; owns libpq's memory. Values are text unless asked for as binary.
class PgRows {
 public:
  PgRows() = default;
  explicit PgRows(pg_result* result);

  int size() const;
  bool IsNull(int row, int column) const;
  std::string_view Text(int row, int column) const;  // "" for NULL; valid while *this lives
  int64_t Int(int row, int column) const;            // 0 for NULL
  double Double(int row, int column) const;          // 0 for NULL
  bool Bool(int row, int column) const;              // false for NULL
  int64_t affected() const;                          // rows of INSERT, UPDATE, DELETE, COPY

 private:
  struct Clear {
    void operator()(pg_result* result) const;
  };
  std::unique_ptr<pg_result, Clear> result_;
};

// A value, or the PgError. (Result<T> carries a Status, which has no room for a SQLSTATE.)
template <typename T>
class [[nodiscard]] PgResult {
 public:
  PgResult(T value) : state_(std::move(value)) {}        // NOLINT(google-explicit-constructor)
  PgResult(PgError error) : state_(std::move(error)) {}  // NOLINT(google-explicit-constructor)
  bool ok() const { return std::holds_alternative<T>(state_); }
  T& operator*() { return std::get<T>(state_); }
  const T& operator*() const { return std::get<T>(state_); }
  T* operator->() { return &std::get<T>(state_); }
  const PgError& error() const { return std::get<PgError>(state_); }

 private:
  std::variant<T, PgError> state_;
};
struct PgOk {};
using PgStatus = PgResult<PgOk>;

// A text parameter of ExecParams; nullopt is NULL.
using PgParam = std::optional<std::string>;

class PgConnection {
 public:
  // `conninfo` is a libpq connection string or URL; it is never logged. Adds, unless given there,
  // application_name, keepalives and tcp_user_timeout. `timeout` bounds connecting.
  static PgResult<std::unique_ptr<PgConnection>> Connect(const std::string& conninfo,
                                                         std::chrono::milliseconds timeout);
  ~PgConnection();
  PgConnection(const PgConnection&) = delete;
  PgConnection& operator=(const PgConnection&) = delete;

  // The deadline of each of the calls below, counted from its start. Past it the connection is
  // closed (a stopped backend answers nothing, a cancel request included) and the error has
  // timed_out and connection_lost set.
  void set_timeout(std::chrono::milliseconds timeout) { timeout_ = timeout; }
  std::chrono::milliseconds timeout() const { return timeout_; }

  // One or several statements in the simple protocol: one round trip. Returns the last statement's
  // rows. After an error the server has skipped the rest.
  PgResult<PgRows> Exec(const std::string& sql);
  // One statement with text parameters ($1 …).
  PgResult<PgRows> ExecParams(const std::string& sql, const std::vector<PgParam>& params);

  // COPY … FROM STDIN as the last statement of `sql` (e.g. "BEGIN; SET LOCAL …; COPY …"), then any
  // number of Put, then End, which returns the number of rows copied. On any failure the COPY is
  // ended on the wire (when the connection still lives) so that the connection is usable for
  // ROLLBACK; nothing is ever completed by a destructor.
  PgStatus CopyBegin(const std::string& sql);
  PgStatus CopyPut(std::string_view bytes);
  PgResult<int64_t> CopyEnd();
  void CopyAbort(const std::string& why);

  bool alive() const;                  // false once a call reported connection_lost
  int backend_pid() const;             // for logs and tests
  pg_conn* native() { return conn_; }  // for the NOTIFY listener
  // The server's notices and warnings since the last call, oldest first; at most 100 are kept.
  std::vector<std::string> TakeNotices() { return std::exchange(notices_, {}); }
  // Quotes an identifier or a literal for use in SQL text. "" (which no statement parses with) when
  // the connection is lost or the text is not valid UTF-8.
  std::string QuoteIdentifier(std::string_view name);
  std::string QuoteLiteral(std::string_view text);

 private:
  using Deadline = std::chrono::steady_clock::time_point;

  explicit PgConnection(pg_conn* conn);
  static void KeepNotice(void* self, const pg_result* notice);

  Deadline NextDeadline() const;
  PgStatus Ready() const;  // ok, or "not connected"
  PgStatus FinishConnecting(const std::string& password, Deadline deadline);
  PgStatus Flush(Deadline deadline);  // sends all that libpq has buffered
  PgStatus SendCopyPending();
  PgStatus AwaitResult(Deadline deadline);
  // Reads results up to the end of the command, or to COPY IN if `stop_at_copy`.
  PgResult<PgRows> Collect(Deadline deadline, bool stop_at_copy);
  PgResult<PgRows> SendAndCollect(int sent, bool stop_at_copy);
  PgError Lose(std::string message, bool timed_out);  // closes the connection

  pg_conn* conn_ = nullptr;
  std::chrono::milliseconds timeout_{10000};
  bool copying_ = false;
  std::string copy_pending_;
  std::vector<std::string> notices_;
};

}  // namespace sluice
