#include "console/console.h"

#include <openssl/evp.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/ascii_json.h"
#include "base/clock.h"
#include "base/escape.h"
#include "base/letter_case.h"
#include "base/log.h"
#include "console/files.h"
#include "console/requests.h"
#include "schema/reason_help.h"
#include "schema/secrets.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using SteadyClock = std::chrono::steady_clock;
using Json = nlohmann::ordered_json;

constexpr const char* kBy = "console";  // in replayed_by
constexpr size_t kMostWaiting = 16;
constexpr seconds kLongestWait{5};
constexpr milliseconds kStatementTimeout{5000};
constexpr seconds kChangeTime{10};
constexpr int64_t kDiscardedAtOnce = 1000;
constexpr int64_t kMostSummed = 500;

HttpResponse Ok(const Json& json) {
  return {200, "application/json", DumpAscii(json) + "\n"};
}

HttpResponse BadParameter(const Status& status) {
  return HttpError(400, "bad_parameter", status.message());
}

HttpResponse Unavailable(const PgError& error) {
  return HttpError(503, "database_unavailable", error.Describe());
}

Json Parsed(const PgRows& rows, int column) {
  return Json::parse(rows.Text(0, column), nullptr, false);
}

// A row of the review as the API gives it.
Json ItemOf(Json row) {
  row["id"] = row["id"].dump();
  row["status"] = row["state"];
  row.erase("state");
  if (row["received_at"].is_null()) row["received_at"] = row["ingested_at"];
  return row;
}

// Of at most `size` rows; one more tells that there is another page.
Json PageOf(const PgRows& rows, int64_t size) {
  Json list = Parsed(rows, 0);
  Json page = {{"items", Json::array()}, {"next", nullptr}};
  for (Json& row : list) {
    if (static_cast<int64_t>(page["items"].size()) == size) {
      const Json& last = page["items"].back();
      page["next"] =
          CursorAt({last["ingested_at"].get<std::string>(), last["id"].get<std::string>()});
      break;
    }
    page["items"].push_back(ItemOf(std::move(row)));
  }
  return page;
}

std::string Base64(const std::string& bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                   reinterpret_cast<const unsigned char*>(bytes.data()),
                                   static_cast<int>(bytes.size()));
  text.resize(static_cast<size_t>(size));
  return text;
}

// With its payload, tokens cut out of rows of the old service, too, and what its reason means.
Json MessageOf(const PgRows& rows) {
  Json message = ItemOf(Parsed(rows, WholeColumns::kObject));
  const std::string payload = CutSecrets(BytesFromHex(rows.Text(0, WholeColumns::kPayload)));
  const bool is_text = IsValidUtf8(payload);
  message["payload"] = {
      {"text", is_text ? payload : Base64(payload)},
      {"encoding", is_text ? "utf8" : "base64"},
      {"bytes", message["size"].is_null() ? Json(payload.size()) : message["size"]},
      {"cut", message["truncated"]}};
  message.erase("truncated");
  message["explanation"] = nullptr;
  Reason reason{};
  if (ParseReason(message["reason"].get<std::string>(), &reason)) {
    const ReasonHelp help = HelpFor(reason);
    message["explanation"] = {{"means", help.explanation}, {"mend", help.remedy}};
  }
  return message;
}

Json CountsOf(const std::map<Reason, uint64_t>& reasons) {
  Json counts = Json::object();
  for (const auto& [reason, count] : reasons) counts[std::string(ReasonName(reason))] = count;
  return counts;
}

// A browser says where the page that asks came from; what is none says nothing.
bool FromElsewhere(const HttpRequest& request) {
  const std::string_view site = request.Header("sec-fetch-site");
  if (!site.empty() && site != "same-origin" && site != "none") return true;
  const std::string_view origin = request.Header("origin");
  if (origin.empty()) return false;
  const std::string host(request.Header("host"));
  return origin != "http://" + host && origin != "https://" + host;
}

bool IsJson(const HttpRequest& request) {
  std::string_view type = request.Header("content-type");
  type = type.substr(0, type.find(';'));
  while (!type.empty() && type.back() == ' ') type.remove_suffix(1);
  return EqualsIgnoringCase(type, "application/json");
}

HttpResponse Stopping() {
  return HttpError(503, "stopping", "the daemon stops");
}

HttpResponse Busy() {
  return HttpError(503, "busy", "too many requests wait for the database; ask again later");
}

HttpResponse Done(const std::function<HttpResponse()>& work) {
  try {
    return work();
  } catch (const std::exception& error) {
    LogError("console_request_failed", {{"error", error.what()}});
    return HttpError(500, "internal", "this went wrong here; the log says more");
  }
}

}  // namespace

std::vector<HttpHeader> ConsoleHeaders() {
  return {{"Content-Security-Policy",
           "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
           "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
          {"Referrer-Policy", "no-referrer"}};
}

Console::Console(const ConsoleOptions& options, StatusSource status, Replay replay)
    : enabled_(options.enabled),
      admin_token_(options.admin_token.empty() ? std::nullopt
                                               : std::optional(Sha256(options.admin_token))),
      status_(std::move(status)),
      replay_(std::move(replay)),
      session_(options.conninfo, options.connect_timeout, kStatementTimeout),
      thread_([this](const std::stop_token& stop) { RunWork(stop); }) {}

Console::~Console() {
  Stop();
}

void Console::ServeOn(HttpServer* http) {
  http->Get("/api/v1/status", [this](const HttpRequest& request) {
    const Status good = RefuseParameters(request.query);
    return good.ok() ? HttpResponse{200, "application/json", status_()} : BadParameter(good);
  });
  if (!enabled_) return;
  for (const ConsoleFile& file : ConsoleFiles()) {
    http->Get(std::string(file.path), [file](const HttpRequest&) {
      return HttpResponse{200, std::string(file.content_type), std::string(file.bytes)};
    });
  }
  using Method = void (Console::*)(const HttpRequest&, const HttpReply&);
  const auto get = [this, http](const char* path, Method method) {
    http->Handle("GET", path, [this, method](const HttpRequest& request, const HttpReply& reply) {
      (this->*method)(request, reply);
    });
  };
  get("/api/v1/quarantine", &Console::List);
  get("/api/v1/quarantine/summary", &Console::Summarize);
  get("/api/v1/quarantine/count", &Console::Count);
  get("/api/v1/quarantine/devices", &Console::Devices);
  get("/api/v1/quarantine/*", &Console::Show);
  using Changing = HttpResponse (Console::*)(const QuarantineRequest&);
  const auto post = [this, http](const char* path, Changing change) {
    http->Handle("POST", path, [this, change](const HttpRequest& request, const HttpReply& reply) {
      Change(request, reply, change);
    });
  };
  post("/api/v1/quarantine/replay", &Console::ReplaySelected);
  post("/api/v1/quarantine/discard", &Console::DiscardSelected);
}

void Console::RequestStop() {
  thread_.request_stop();
}

void Console::Stop() {
  RequestStop();
  if (thread_.joinable()) thread_.join();
}

void Console::List(const HttpRequest& request, const HttpReply& reply) {
  const Result<QuarantineRequest> wanted = ParseList(request.query, SystemClock().Now());
  if (!wanted.ok()) return reply(BadParameter(wanted.status()));
  Enqueue(reply, [this, wanted = *wanted] {
    QuarantineFilter filter = wanted.filter;
    ++filter.limit;
    const auto rows =
        Ask<PgRows>([&](PgConnection& db) { return ListQuarantined(db, filter, wanted.after); });
    return rows.ok() ? Ok(PageOf(*rows, wanted.filter.limit)) : Unavailable(rows.error());
  });
}

void Console::Summarize(const HttpRequest& request, const HttpReply& reply) {
  if (const Status good = RefuseParameters(request.query); !good.ok()) {
    return reply(BadParameter(good));
  }
  Enqueue(reply, [this] {
    const auto rows =
        Ask<PgRows>([](PgConnection& db) { return SummarizeByReason(db, {.limit = kMostSummed}); });
    return rows.ok() ? Ok({{"items", Parsed(*rows, 0)}}) : Unavailable(rows.error());
  });
}

void Console::Count(const HttpRequest& request, const HttpReply& reply) {
  const Result<QuarantineFilter> filter =
      ParseWaiting(request.query, {"tenant", "device", "reason"});
  if (!filter.ok()) return reply(BadParameter(filter.status()));
  Enqueue(reply, [this, filter = *filter] {
    const auto waiting =
        Ask<int64_t>([&](PgConnection& db) { return CountQuarantined(db, filter); });
    return waiting.ok() ? Ok({{"waiting", *waiting}}) : Unavailable(waiting.error());
  });
}

void Console::Devices(const HttpRequest& request, const HttpReply& reply) {
  const Result<QuarantineFilter> filter =
      ParseWaiting(request.query, {"tenant", "reason", "limit"});
  if (!filter.ok()) return reply(BadParameter(filter.status()));
  Enqueue(reply, [this, filter = *filter] {
    const auto rows = Ask<PgRows>([&](PgConnection& db) { return WorstDevices(db, filter); });
    return rows.ok() ? Ok({{"items", Parsed(*rows, 0)}}) : Unavailable(rows.error());
  });
}

void Console::Show(const HttpRequest& request, const HttpReply& reply) {
  const std::string& path = request.path;
  const Result<int64_t> id = ParseMessageId(path.substr(path.rfind('/') + 1));
  const Status good = id.ok() ? RefuseParameters(request.query) : id.status();
  if (!good.ok()) return reply(BadParameter(good));
  Enqueue(reply, [this, id = *id] {
    auto rows = Ask<PgRows>([id](PgConnection& db) {
      return FetchQuarantined(db, {.ids = {id}, .state = ""}, std::nullopt, 1);
    });
    if (!rows.ok()) return Unavailable(rows.error());
    if (rows->size() > 0) return Ok(MessageOf(*rows));
    return HttpError(404, "not_found", "there is no message " + std::to_string(id));
  });
}

void Console::Change(const HttpRequest& request, const HttpReply& reply,
                     HttpResponse (Console::*change)(const QuarantineRequest&)) {
  if (const auto refusal = RefuseChange(request)) return reply(*refusal);
  if (const Status good = RefuseParameters(request.query); !good.ok()) {
    return reply(BadParameter(good));
  }
  const Result<QuarantineRequest> wanted = ParseSelection(request.body, SystemClock().Now());
  if (!wanted.ok()) return reply(HttpError(400, "bad_body", wanted.message()));
  Enqueue(reply, [this, change, wanted = *wanted] { return (this->*change)(wanted); });
}

HttpResponse Console::ReplaySelected(const QuarantineRequest& request) {
  const auto begin = SteadyClock::now();
  const ReplayEnd end = replay_(request, [this, begin] { return TimeLeft(begin); });
  const ReplayTotals& totals = end.totals;
  LogInfo(
      "console_replayed",
      {{"messages", totals.messages}, {"replayed", totals.replayed}, {"complete", end.complete}});
  if (!end.failure.empty()) {
    return HttpError(503, "database_unavailable",
                     end.failure + "; replayed before: " + std::to_string(totals.replayed));
  }
  return Ok({{"replayed", totals.replayed},
             {"rows", totals.rows},
             {"kept", totals.refused + totals.not_kept},
             {"kept_reasons", CountsOf(totals.reasons)},
             {"not_whole", totals.not_kept},
             {"complete", end.complete},
             {"next", end.last && !end.complete ? Json(CursorAt(*end.last)) : Json()}});
}

HttpResponse Console::DiscardSelected(const QuarantineRequest& request) {
  const QuarantineFilter& filter = request.filter;
  const auto begin = SteadyClock::now();
  const int64_t most = filter.ids.empty() ? filter.limit : static_cast<int64_t>(filter.ids.size());
  int64_t discarded = 0;
  bool more = true;
  std::optional<PgError> failure;
  while (more && !failure && discarded < most && TimeLeft(begin)) {
    const int64_t at_once = std::min(kDiscardedAtOnce, most - discarded);
    const auto page = Ask<int64_t>([&](PgConnection& db) {
      return DiscardQuarantined(db, filter, request.after, kBy, at_once);
    });
    if (!page.ok()) {
      failure = page.error();
    } else {
      discarded += *page;
      more = *page > 0;
    }
  }
  // A filter may take more than its limit.
  const bool complete = !failure && (!more || (discarded == most && !filter.ids.empty()));
  LogInfo("console_discarded", {{"messages", discarded}, {"complete", complete}});
  if (failure) {
    return HttpError(503, "database_unavailable",
                     failure->Describe() + "; discarded before: " + std::to_string(discarded));
  }
  return Ok({{"discarded", discarded}, {"complete", complete}});
}

std::optional<HttpResponse> Console::RefuseChange(const HttpRequest& request) const {
  if (!admin_token_) return HttpError(403, "read_only", "read-only: ADMIN_TOKEN is not set");
  if (FromElsewhere(request)) {
    return HttpError(403, "cross_origin", "a page from elsewhere may not ask for this");
  }
  if (!HasToken(request)) {
    HttpResponse refusal =
        HttpError(401, "unauthorized", "Authorization: Bearer ADMIN_TOKEN is wanted");
    refusal.headers.emplace_back("WWW-Authenticate", "Bearer");
    return refusal;
  }
  if (!IsJson(request)) {
    return HttpError(415, "unsupported_type", "Content-Type: application/json is wanted");
  }
  return std::nullopt;
}

// Hashed first, so that the time it takes tells nothing.
bool Console::HasToken(const HttpRequest& request) const {
  constexpr std::string_view kScheme = "Bearer ";
  const std::string_view given = request.Header("authorization");
  return EqualsIgnoringCase(given.substr(0, kScheme.size()), kScheme) &&
         DigestsEqual(Sha256(given.substr(kScheme.size())), *admin_token_);
}

void Console::Enqueue(const HttpReply& reply, Work work) {
  std::unique_lock lock(mutex_);
  const bool stopping = thread_.get_stop_token().stop_requested();
  if (stopping || waiting_.size() >= kMostWaiting) {
    lock.unlock();
    return reply(stopping ? Stopping() : Busy());
  }
  waiting_.push_back({std::move(work), reply, SteadyClock::now() + kLongestWait});
  changed_.notify_one();
}

void Console::RunWork(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stop, [this] { return !waiting_.empty(); })) {
    if (stop.stop_requested()) break;
    const Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    next.reply(SteadyClock::now() < next.until ? Done(next.work) : Busy());
    lock.lock();
  }
  for (const Waiting& left : waiting_) left.reply(Stopping());
  waiting_.clear();
}

PgResult<PgConnection*> Console::Begin() {
  for (bool again = true;; again = false) {
    auto db = session_.Acquire();
    if (!db.ok()) return db;
    const auto begun = (*db)->Exec(session_.BeginSql());
    if (begun.ok()) return db;
    session_.Drop();
    if (!again || !begun.error().connection_lost) return begun.error();
  }
}

template <typename T>
PgResult<T> Console::Ask(const std::function<PgResult<T>(PgConnection&)>& query) {
  const auto db = Begin();
  if (!db.ok()) return db.error();
  PgResult<T> result = query(**db);
  if (result.ok()) {
    if (const auto ended = (*db)->Exec("COMMIT"); !ended.ok()) result = ended.error();
  }
  if (!result.ok()) session_.Drop();
  return result;
}

bool Console::TimeLeft(SteadyClock::time_point begin) const {
  return SteadyClock::now() - begin < kChangeTime && !thread_.get_stop_token().stop_requested();
}

}  // namespace sluice
