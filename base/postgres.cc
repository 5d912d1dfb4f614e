#include "base/postgres.h"

#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <regex>

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr size_t kMaxNotices = 100;
// libpq makes a message of every put, and one write of 8 kB of messages. Rows that are collected to
// this cost both sides less.
constexpr size_t kCopyMessageBytes = size_t{64} * 1024;

struct FreeResult {
  void operator()(PGresult* result) const { PQclear(result); }
};
using ResultPtr = std::unique_ptr<PGresult, FreeResult>;

struct FreeMemory {
  void operator()(char* memory) const { PQfreemem(memory); }
};
struct FreeOptions {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};

enum class Wait { kReady, kTimedOut, kFailed };

Wait WaitSocket(int fd, short events, steady_clock::time_point deadline) {
  pollfd entry{fd, events, 0};
  for (;;) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now()).count();
    const int ready =
        poll(&entry, 1, static_cast<int>(std::clamp<int64_t>(left, 0, 1'000'000'000)));
    if (ready > 0) return Wait::kReady;
    if (ready == 0) return Wait::kTimedOut;
    if (errno != EINTR) return Wait::kFailed;
  }
}

// Breaks and tabs, with the blanks behind them, become one blank.
std::string OneLine(std::string_view text) {
  std::string line;
  bool broken = false;
  for (const char c : text) {
    const bool breaks = c == '\n' || c == '\r' || c == '\t';
    broken = breaks || (broken && c == ' ');
    if (!broken) {
      line += c;
    } else if (!line.empty() && line.back() != ' ') {
      line += ' ';
    }
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

std::string Field(const PGresult* result, int code) {
  const char* text = PQresultErrorField(result, code);
  return text == nullptr ? std::string() : OneLine(text);
}

// The session is over after these, though the socket may not know yet.
bool IsFatal(const PGresult* result) {
  const std::string severity = Field(result, PG_DIAG_SEVERITY_NONLOCALIZED);
  return severity == "FATAL" || severity == "PANIC";
}

PgError ErrorOf(const PGresult* result) {
  PgError error;
  error.sqlstate = Field(result, PG_DIAG_SQLSTATE);
  error.message = Field(result, PG_DIAG_MESSAGE_PRIMARY);
  error.context = Field(result, PG_DIAG_CONTEXT);
  error.constraint = Field(result, PG_DIAG_CONSTRAINT_NAME);
  if (error.message.empty()) error.message = OneLine(PQresultErrorMessage(result));
  return error;
}

// libpq has no field for the SQLSTATE of a failed start; with PQERRORS_VERBOSE the text holds it:
// "…: FATAL:  28P01: password authentication failed …\nLOCATION:  auth_failed, auth.c:326".
PgError ConnectError(const PGconn* conn, const std::string& password) {
  static const std::regex sqlstate(":  ([0-9A-Z]{5}): ");
  static const std::regex location("LOCATION:[^\n]*");
  std::string text = PQerrorMessage(conn);
  PgError error;
  error.connection_lost = true;
  if (std::smatch found; std::regex_search(text, found, sqlstate)) error.sqlstate = found[1];
  text = std::regex_replace(std::regex_replace(text, sqlstate, ": "), location, "");
  if (!password.empty()) {
    for (size_t at = text.find(password); at != std::string::npos; at = text.find(password, at)) {
      text.replace(at, password.size(), "***");
      at += 3;
    }
  }
  error.message = OneLine(text);
  return error;
}

template <typename T>
T ParseNumber(std::string_view text) {
  T value{};
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

void PgTextArray::Add(std::string_view element) {
  if (text_.size() > 1) text_ += ',';
  text_ += '"';
  for (const char c : element) {
    if (c == '"' || c == '\\') text_ += '\\';
    text_ += c;
  }
  text_ += '"';
}

PgError PgError::During(std::string what) const {
  PgError error = *this;
  if (error.step.empty()) error.step = std::move(what);
  return error;
}

std::string PgError::Describe() const {
  std::string text = sqlstate.empty() ? message : sqlstate + ": " + message;
  if (!context.empty()) text += " (" + context + ")";
  return step.empty() ? text : step + ": " + text;
}

void PgRows::Clear::operator()(pg_result* result) const {
  PQclear(result);
}

PgRows::PgRows(pg_result* result) : result_(result) {}

int PgRows::size() const {
  return PQntuples(result_.get());
}

bool PgRows::IsNull(int row, int column) const {
  return PQgetisnull(result_.get(), row, column) != 0;
}

std::string_view PgRows::Text(int row, int column) const {
  const char* text = PQgetvalue(result_.get(), row, column);
  if (text == nullptr) return {};
  return {text, static_cast<size_t>(PQgetlength(result_.get(), row, column))};
}

int64_t PgRows::Int(int row, int column) const {
  return ParseNumber<int64_t>(Text(row, column));
}

double PgRows::Double(int row, int column) const {
  return ParseNumber<double>(Text(row, column));
}

bool PgRows::Bool(int row, int column) const {
  return Text(row, column) == "t";
}

int64_t PgRows::affected() const {
  return result_ == nullptr ? 0 : ParseNumber<int64_t>(PQcmdTuples(result_.get()));
}

PgConnection::PgConnection(pg_conn* conn) : conn_(conn) {}

PgConnection::~PgConnection() {
  PQfinish(conn_);
}

void PgConnection::KeepNotice(void* self, const pg_result* notice) {
  auto* connection = static_cast<PgConnection*>(self);
  if (connection->notices_.size() >= kMaxNotices) return;
  connection->notices_.push_back(Field(notice, PG_DIAG_MESSAGE_PRIMARY));
}

PgResult<std::unique_ptr<PgConnection>> PgConnection::Connect(const std::string& conninfo,
                                                              milliseconds timeout) {
  const Deadline deadline = steady_clock::now() + timeout;
  std::string password;
  char* why = nullptr;
  const std::unique_ptr<PQconninfoOption, FreeOptions> options(
      PQconninfoParse(conninfo.c_str(), &why));
  const std::unique_ptr<char, FreeMemory> free_why(why);
  if (options == nullptr) {
    // libpq's own sentence quotes the string.
    return PgError{"", "the PostgreSQL connection string cannot be parsed", "", true, false};
  }
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    if (option->val != nullptr && std::strcmp(option->keyword, "password") == 0) {
      password = option->val;
    }
  }

  // What the string sets wins, because it comes last. A dead peer is noticed within half a minute
  // even by a connection that only listens.
  const char* const keywords[] = {"fallback_application_name",
                                  "client_encoding",
                                  "keepalives",
                                  "keepalives_idle",
                                  "keepalives_interval",
                                  "keepalives_count",
                                  "tcp_user_timeout",
                                  "dbname",
                                  nullptr};
  const char* const values[] = {"sluice", "UTF8",           "1",    "10", "5", "3",
                                "30000",  conninfo.c_str(), nullptr};
  std::unique_ptr<PgConnection> connection(
      new PgConnection(PQconnectStartParams(keywords, values, 1)));
  if (connection->conn_ == nullptr) return PgError{"", "out of memory", "", true, false};
  PgStatus connected = connection->FinishConnecting(password, deadline);
  if (!connected.ok()) return connected.error();
  return connection;
}

PgStatus PgConnection::FinishConnecting(const std::string& password, Deadline deadline) {
  PQsetNoticeReceiver(conn_, &PgConnection::KeepNotice, this);
  PQsetErrorVerbosity(conn_, PQERRORS_VERBOSE);
  PostgresPollingStatusType state = PGRES_POLLING_WRITING;
  if (PQstatus(conn_) == CONNECTION_BAD) return ConnectError(conn_, password);
  while (state != PGRES_POLLING_OK) {
    const short events = state == PGRES_POLLING_READING ? POLLIN : POLLOUT;
    const Wait wait = WaitSocket(PQsocket(conn_), events, deadline);
    if (wait != Wait::kReady) {
      return Lose("PostgreSQL did not accept the connection in time", wait == Wait::kTimedOut);
    }
    state = PQconnectPoll(conn_);
    if (state == PGRES_POLLING_FAILED) return ConnectError(conn_, password);
  }
  PQsetErrorVerbosity(conn_, PQERRORS_DEFAULT);
  if (PQsetnonblocking(conn_, 1) != 0) return ConnectError(conn_, password);
  return PgOk{};
}

PgConnection::Deadline PgConnection::NextDeadline() const {
  return steady_clock::now() + timeout_;
}

PgError PgConnection::Lose(std::string message, bool timed_out) {
  PQfinish(std::exchange(conn_, nullptr));
  copying_ = false;
  return PgError{"", std::move(message), "", true, timed_out};
}

PgStatus PgConnection::Ready() const {
  if (conn_ == nullptr) return PgError{"", "not connected to PostgreSQL", "", true, false};
  return PgOk{};
}

PgStatus PgConnection::Flush(Deadline deadline) {
  for (;;) {
    const int left = PQflush(conn_);
    if (left == 0) return PgOk{};
    if (left < 0) return Lose(OneLine(PQerrorMessage(conn_)), false);
    // The server may have to be read from before it reads on.
    switch (WaitSocket(PQsocket(conn_), POLLIN | POLLOUT, deadline)) {
      case Wait::kReady:
        if (PQconsumeInput(conn_) == 0) return Lose(OneLine(PQerrorMessage(conn_)), false);
        break;
      case Wait::kTimedOut:
        return Lose("PostgreSQL took no data in time", true);
      case Wait::kFailed:
        return Lose("cannot wait for PostgreSQL", false);
    }
  }
}

PgStatus PgConnection::AwaitResult(Deadline deadline) {
  while (PQisBusy(conn_) != 0) {
    switch (WaitSocket(PQsocket(conn_), POLLIN, deadline)) {
      case Wait::kReady:
        break;
      case Wait::kTimedOut:
        return Lose("PostgreSQL did not answer in time", true);
      case Wait::kFailed:
        return Lose("cannot wait for PostgreSQL", false);
    }
    // A failure here comes back as the command's result, with the server's last words in it.
    if (PQconsumeInput(conn_) == 0) break;
  }
  return PgOk{};
}

PgResult<PgRows> PgConnection::Collect(Deadline deadline, bool stop_at_copy) {
  std::optional<PgError> first_error;
  PgRows last;
  for (;;) {
    PgStatus awaited = AwaitResult(deadline);
    if (!awaited.ok()) return awaited.error();
    ResultPtr result(PQgetResult(conn_));
    if (result == nullptr) break;

    const ExecStatusType status = PQresultStatus(result.get());
    if (status == PGRES_COPY_IN && stop_at_copy) {
      copying_ = true;
      return last;
    }
    if (status == PGRES_COPY_IN) {
      PQputCopyEnd(conn_, "COPY FROM STDIN is not expected here");
      PgStatus flushed = Flush(deadline);
      if (!flushed.ok()) return flushed.error();
    } else if (status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
      return Lose("COPY TO STDOUT is not supported", false);
    } else if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ||
               status == PGRES_EMPTY_QUERY) {
      last = PgRows(result.release());
    } else {
      if (!first_error.has_value()) first_error = ErrorOf(result.get());
      if (IsFatal(result.get()) || PQstatus(conn_) == CONNECTION_BAD) {
        Lose("", false);
        first_error->connection_lost = true;
        return *first_error;
      }
    }
  }
  if (first_error.has_value()) return *first_error;
  return last;
}

PgResult<PgRows> PgConnection::SendAndCollect(int sent, bool stop_at_copy) {
  const Deadline deadline = NextDeadline();
  if (sent == 0) {
    PgError error{"", OneLine(PQerrorMessage(conn_)), "", false, false};
    if (PQstatus(conn_) == CONNECTION_BAD) return Lose(error.message, false);
    return error;
  }
  PgStatus flushed = Flush(deadline);
  if (!flushed.ok()) return flushed.error();
  return Collect(deadline, stop_at_copy);
}

PgResult<PgRows> PgConnection::Exec(const std::string& sql) {
  if (PgStatus ready = Ready(); !ready.ok()) return ready.error();
  return SendAndCollect(PQsendQuery(conn_, sql.c_str()), false);
}

PgResult<PgRows> PgConnection::ExecParams(const std::string& sql,
                                          const std::vector<PgParam>& params) {
  if (PgStatus ready = Ready(); !ready.ok()) return ready.error();
  std::vector<const char*> values;
  values.reserve(params.size());
  for (const PgParam& param : params) {
    values.push_back(param.has_value() ? param->c_str() : nullptr);
  }
  return SendAndCollect(PQsendQueryParams(conn_, sql.c_str(), static_cast<int>(values.size()),
                                          nullptr, values.data(), nullptr, nullptr, 0),
                        false);
}

PgStatus PgConnection::CopyBegin(const std::string& sql) {
  if (PgStatus ready = Ready(); !ready.ok()) return ready.error();
  copy_pending_.clear();
  PgResult<PgRows> answer = SendAndCollect(PQsendQuery(conn_, sql.c_str()), true);
  if (!answer.ok()) return answer.error();
  if (!copying_) return PgError{"", "the statement did not start a COPY", "", false, false};
  return PgOk{};
}

PgStatus PgConnection::CopyPut(std::string_view bytes) {
  if (PgStatus ready = Ready(); !ready.ok()) return ready.error();
  if (!copying_) return PgError{"", "no COPY is in progress", "", false, false};
  copy_pending_ += bytes;
  return copy_pending_.size() < kCopyMessageBytes ? PgOk{} : SendCopyPending();
}

PgStatus PgConnection::SendCopyPending() {
  if (copy_pending_.empty()) return PgOk{};
  const int size = static_cast<int>(copy_pending_.size());
  if (PQputCopyData(conn_, copy_pending_.data(), size) != 1) {
    return Lose(OneLine(PQerrorMessage(conn_)), false);
  }
  copy_pending_.clear();
  return Flush(NextDeadline());
}

PgResult<int64_t> PgConnection::CopyEnd() {
  if (PgStatus ready = Ready(); !ready.ok()) return ready.error();
  if (!copying_) return PgError{"", "no COPY is in progress", "", false, false};
  if (PgStatus sent = SendCopyPending(); !sent.ok()) return sent.error();
  copying_ = false;
  const int ended = PQputCopyEnd(conn_, nullptr);
  if (ended != 1) return Lose(OneLine(PQerrorMessage(conn_)), false);
  PgResult<PgRows> answer = SendAndCollect(ended, false);
  if (!answer.ok()) return answer.error();
  return answer->affected();
}

void PgConnection::CopyAbort(const std::string& why) {
  if (conn_ == nullptr || !copying_) return;
  copying_ = false;
  if (PQputCopyEnd(conn_, why.c_str()) != 1) {
    Lose("", false);
    return;
  }
  // The server answers with the error that was asked for.
  (void)SendAndCollect(1, false);
}

bool PgConnection::alive() const {
  return conn_ != nullptr;
}

int PgConnection::backend_pid() const {
  return PQbackendPID(conn_);
}

std::string PgConnection::QuoteIdentifier(std::string_view name) {
  const std::unique_ptr<char, FreeMemory> quoted(
      PQescapeIdentifier(conn_, name.data(), name.size()));
  return quoted == nullptr ? std::string() : std::string(quoted.get());
}

std::string PgConnection::QuoteLiteral(std::string_view text) {
  const std::unique_ptr<char, FreeMemory> quoted(PQescapeLiteral(conn_, text.data(), text.size()));
  return quoted == nullptr ? std::string() : std::string(quoted.get());
}

}  // namespace sluice
