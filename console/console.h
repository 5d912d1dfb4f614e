// Console: a page on which an operator watches the daemon and reviews the quarantine, and the API
// behind it; openapi.json says what that answers.
//
// Whatever asks PostgreSQL is done by one thread of its own, on one connection, which is made for
// the first request that needs it. Few requests wait for it, and not for long; the others are
// refused. So the console holds up neither the server's other pages nor a message.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "auth/digest.h"
#include "base/http_server.h"
#include "base/pg_session.h"
#include "console/requests.h"
#include "quarantine/replay_totals.h"

namespace sluice {

struct ConsoleOptions {
  bool enabled = true;  // else only the status is served
  std::string conninfo = {};
  std::chrono::milliseconds connect_timeout{5000};
  std::string admin_token = {};  // empty: nothing can be changed
};

// What became of a replay.
struct ReplayEnd {
  ReplayTotals totals = {};
  bool complete = false;  // all that the filter takes was looked at
  // The last message looked at, after which to go on.
  std::optional<QuarantinePosition> last = {};
  std::string failure = {};  // PostgreSQL's words, when it went wrong
};

// For every answer of a server that the console is on, so that a page which came from it does
// nothing but what it was made for.
std::vector<HttpHeader> ConsoleHeaders();

class Console {
 public:
  // JSON of what the daemon knows about itself; must not wait. Called by the server's threads.
  using StatusSource = std::function<std::string()>;
  // Replays what the request takes, in steps, for as long as `go_on` says so. Called by the
  // console's thread.
  using Replay = std::function<ReplayEnd(const QuarantineRequest& request,
                                         const std::function<bool()>& go_on)>;

  Console(const ConsoleOptions& options, StatusSource status, Replay replay);
  ~Console();  // stops
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  // Before the server starts. The server must be stopped before this goes away.
  void ServeOn(HttpServer* http);

  // From now on everything that needs PostgreSQL is answered with 503; a replay ends after its
  // step. Returns at once.
  void RequestStop();
  // The same, and waits until the last answer is given: a few seconds at most, or what a step of
  // a replay takes.
  void Stop();

 private:
  using Work = std::function<HttpResponse()>;  // asks PostgreSQL
  struct Waiting {
    Work work;
    HttpReply reply;
    std::chrono::steady_clock::time_point until;
  };

  void List(const HttpRequest& request, const HttpReply& reply);
  void Summarize(const HttpRequest& request, const HttpReply& reply);
  void Count(const HttpRequest& request, const HttpReply& reply);
  void Devices(const HttpRequest& request, const HttpReply& reply);
  void Show(const HttpRequest& request, const HttpReply& reply);
  // A request that wants to change something, if it may.
  void Change(const HttpRequest& request, const HttpReply& reply,
              HttpResponse (Console::*change)(const QuarantineRequest&));
  HttpResponse ReplaySelected(const QuarantineRequest& request);
  HttpResponse DiscardSelected(const QuarantineRequest& request);

  std::optional<HttpResponse> RefuseChange(const HttpRequest& request) const;
  bool HasToken(const HttpRequest& request) const;

  // Has `work` done, or refuses it.
  void Enqueue(const HttpReply& reply, Work work);
  void RunWork(const std::stop_token& stop);
  // A transaction's beginning, on a new connection if the old one has died meanwhile.
  PgResult<PgConnection*> Begin();
  // What `query` gives, in a transaction of its own.
  template <typename T>
  PgResult<T> Ask(const std::function<PgResult<T>(PgConnection&)>& query);
  // Whether a change that has begun may take its next step.
  bool TimeLeft(std::chrono::steady_clock::time_point begin) const;

  const bool enabled_;
  const std::optional<Sha256Digest> admin_token_;
  const StatusSource status_;
  const Replay replay_;
  PgSession session_;

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Waiting> waiting_;  // guarded by mutex_
  std::jthread thread_;
};

}  // namespace sluice
