#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/ascii_json.h"
#include "base/escape.h"
#include "ingest/commands/admin.h"
#include "ingest/commands/progress.h"
#include "ingest/commands/quarantine_options.h"
#include "ingest/commands/terminal_text.h"
#include "schema/reason_help.h"
#include "schema/secrets.h"

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kPage = 1000;
constexpr std::array kListColumns = {"id",     "ingested_at", "tenant", "device",
                                     "reason", "state",       "size",   "detail"};
constexpr std::array kByReasonColumns = {"tenant",  "reason",   "devices",    "stored",
                                         "counted", "withheld", "first_seen", "last_seen"};
constexpr std::array kByDeviceColumns = {"tenant", "device",     "reason",
                                         "stored", "first_seen", "last_seen"};

Json Parsed(std::string_view text) {
  return Json::parse(text, nullptr, false);
}

std::string CellOf(const Json& object, const char* column) {
  const auto found = object.find(column);
  if (found == object.end() || found->is_null()) return "-";
  return found->is_string() ? found->get<std::string>() : found->dump();
}

int PrintObjects(const char* command, std::span<const char* const> columns, PgResult<PgRows> rows,
                 bool as_json) {
  if (!rows.ok()) return ComplainOf(command, rows.error());
  const Json objects = Parsed(rows->Text(0, 0));
  if (as_json) {
    std::printf("%s\n", DumpAscii(objects).c_str());
    return kExitOk;
  }
  std::vector<std::vector<std::string>> table = {{columns.begin(), columns.end()}};
  for (const Json& object : objects) {
    auto& cells = table.emplace_back();
    for (const char* column : columns) cells.push_back(CellOf(object, column));
  }
  PrintTable(std::move(table));
  return kExitOk;
}

int List(const QuarantineOptions& options) {
  const Result<QuarantineFilter> filter = FilterOf(options);
  if (!filter.ok()) return Complain("quarantine list", filter.message());
  return WithQuarantine("quarantine list", [&](const Settings&, PgConnection& db) {
    return PrintObjects("quarantine list", kListColumns, ListQuarantined(db, *filter),
                        options.json);
  });
}

int Summary(const QuarantineOptions& options) {
  const Result<QuarantineFilter> filter = FilterOf(options);
  if (!filter.ok()) return Complain("quarantine summary", filter.message());
  return WithQuarantine("quarantine summary", [&](const Settings&, PgConnection& db) {
    if (options.by_device) {
      return PrintObjects("quarantine summary", kByDeviceColumns, SummarizeByDevice(db, *filter),
                          options.json);
    }
    return PrintObjects("quarantine summary", kByReasonColumns, SummarizeByReason(db, *filter),
                        options.json);
  });
}

// A message with its payload; tokens are cut out of rows of the old service, too. Bytes that are no
// text are given in hexadecimal.
Json WholeMessage(const PgRows& rows, int row) {
  Json message = Parsed(rows.Text(row, WholeColumns::kObject));
  const std::string payload = CutSecrets(BytesFromHex(rows.Text(row, WholeColumns::kPayload)));
  if (IsValidUtf8(payload)) {
    message["payload"] = payload;
  } else {
    message["payload_hex"] = ToHex(payload);
  }
  return message;
}

std::string PayloadText(const Json& message) {
  const auto payload = message.find("payload");
  if (payload == message.end()) return "hex " + message.at("payload_hex").get<std::string>();
  return TerminalText(payload->get_ref<const std::string&>());
}

void PrintMessage(const Json& message, const std::optional<ReasonHelp>& help) {
  for (const auto& [name, value] : message.items()) {
    if (value.is_null() || name.rfind("payload", 0) == 0) continue;
    std::printf("%-14s %s\n", name.c_str(), Escaped(CellOf(message, name.c_str())).c_str());
  }
  std::printf("%-14s %s\n", "payload", PayloadText(message).c_str());
  if (!help) return;
  std::printf("\n%s\n%s\n", std::string(help->explanation).c_str(),
              std::string(help->remedy).c_str());
}

int Show(const QuarantineOptions& options) {
  return WithQuarantine("quarantine show", [&](const Settings&, PgConnection& db) {
    auto rows = FetchQuarantined(db, {.ids = options.ids, .state = ""}, std::nullopt, 1);
    if (!rows.ok()) return ComplainOf("quarantine show", rows.error());
    if (rows->size() == 0) {
      return Complain("quarantine show",
                      "there is no message " + std::to_string(options.ids.front()));
    }
    Json message = WholeMessage(*rows, 0);
    std::optional<ReasonHelp> help;
    Reason reason{};
    if (ParseReason(CellOf(message, "reason"), &reason)) help = HelpFor(reason);
    if (!options.json) {
      PrintMessage(message, help);
      return kExitOk;
    }
    if (help) {
      message["explanation"] = help->explanation;
      message["remedy"] = help->remedy;
    }
    std::printf("%s\n", DumpAscii(message).c_str());
    return kExitOk;
  });
}

int Export(const QuarantineOptions& options) {
  const Result<QuarantineFilter> filter = FilterOf(options);
  if (!filter.ok()) return Complain("quarantine export", filter.message());
  return WithQuarantine("quarantine export", [&](const Settings&, PgConnection& db) {
    std::optional<QuarantinePosition> position;
    int64_t left = filter->limit == 0 ? INT64_MAX : filter->limit;
    for (int size = -1; size != 0 && left > 0; left -= size) {
      auto rows = FetchQuarantined(db, *filter, position, std::min(left, kPage));
      if (!rows.ok()) return ComplainOf("quarantine export", rows.error());
      size = rows->size();
      for (int row = 0; row < size; ++row) {
        std::printf("%s\n", DumpAscii(WholeMessage(*rows, row)).c_str());
        position = {std::string(rows->Text(row, WholeColumns::kIngestedAt)),
                    std::string(rows->Text(row, WholeColumns::kId))};
      }
      if (std::fflush(stdout) != 0) return Complain("quarantine export", "cannot write it all");
    }
    return kExitOk;
  });
}

// Somebody at a terminal is asked; a script must have said --yes.
bool Confirmed(int64_t messages, const QuarantineOptions& options) {
  if (options.yes) return true;
  if (::isatty(STDIN_FILENO) != 1) return false;
  std::fprintf(stderr, "Discard %lld messages? They stay until they expire, but are not replayed. ",
               static_cast<long long>(messages));
  const int answer = std::getchar();
  return answer == 'y' || answer == 'Y';
}

// Counts in `discarded` what is done, also when it fails later; the failure.
std::optional<PgError> DiscardPages(PgConnection& db, const QuarantineFilter& filter,
                                    const std::string& by, int64_t wanted, int64_t* discarded) {
  ProgressBar progress(static_cast<uint64_t>(wanted));
  while (*discarded < wanted) {
    auto page =
        DiscardQuarantined(db, filter, std::nullopt, by, std::min(wanted - *discarded, kPage));
    if (!page.ok()) return page.error();
    if (*page == 0) break;
    *discarded += *page;
    progress.Show(static_cast<uint64_t>(*discarded));
  }
  return std::nullopt;
}

int Discard(const QuarantineOptions& options) {
  const char* const command = "quarantine discard";
  const Result<QuarantineFilter> filter = ChangeFilterOf(options);
  if (!filter.ok()) return Complain(command, filter.message());
  return WithQuarantine(command, [&](const Settings&, PgConnection& db) {
    const auto found = CountQuarantined(db, *filter);
    if (!found.ok()) return ComplainOf(command, found.error());
    const int64_t wanted = filter->limit == 0 ? *found : std::min(*found, filter->limit);
    if (wanted > 0 && !Confirmed(wanted, options)) {
      return Complain(command, "nothing was discarded: answer y, or say --yes");
    }
    const std::string by = options.by.empty() ? Me() : options.by;
    int64_t discarded = 0;
    const auto failure = DiscardPages(db, *filter, by, wanted, &discarded);
    std::printf(options.json ? "{\"discarded\":%lld}\n" : "discarded %lld\n",
                static_cast<long long>(discarded));
    if (failure) return ComplainOf(command, *failure);
    return ComplainOfMissing(command, db, *filter);
  });
}

void AddState(CLI::App* command, QuarantineOptions* options) {
  command->add_option("--state", options->state, "new, replayed, discarded or all")
      ->transform(CLI::IsMember({"NEW", "REPLAYED", "DISCARDED", "ALL"}, CLI::ignore_case))
      ->type_name("STATE")
      ->default_str("new");
}

void AddReading(CLI::App* quarantine, int* status) {
  constexpr int64_t kScreen = 100;
  auto list_options = std::make_shared<QuarantineOptions>();
  CLI::App* list = quarantine->add_subcommand("list", "Prints messages, newest first");
  AddFilterOptions(list, list_options.get(), kScreen);
  AddState(list, list_options.get());
  list->add_flag("--json", list_options->json, "As a JSON array");
  list->callback([list_options, status] { *status = List(*list_options); });

  auto summary_options = std::make_shared<QuarantineOptions>();
  CLI::App* summary = quarantine->add_subcommand(
      "summary",
      "Prints what goes wrong, by tenant and reason: what waits here (stored), and what "
      "was rejected in the last 24 hours or since --since, kept or not");
  AddFilterOptions(summary, summary_options.get(), kScreen);
  summary->add_flag("--by-device", summary_options->by_device, "By device and reason");
  summary->add_flag("--json", summary_options->json, "As a JSON array");
  summary->callback([summary_options, status] { *status = Summary(*summary_options); });

  auto show_options = std::make_shared<QuarantineOptions>();
  CLI::App* show = quarantine->add_subcommand(
      "show", "Prints a message, its reason in a sentence, and how to mend it");
  show->add_option("ID", show_options->ids, "Its number")
      ->required()
      ->expected(1)
      ->transform(IsMessageNumber());
  show->add_flag("--json", show_options->json, "As a JSON object");
  show->callback([show_options, status] { *status = Show(*show_options); });

  auto export_options = std::make_shared<QuarantineOptions>();
  CLI::App* out = quarantine->add_subcommand(
      "export", "Writes messages to standard output, oldest first, a JSON object a line");
  AddFilterOptions(out, export_options.get(), 0);
  AddState(out, export_options.get());
  out->callback([export_options, status] { *status = Export(*export_options); });
}

}  // namespace

void AddQuarantineCommand(CLI::App& app, int* status) {
  CLI::App* quarantine =
      app.add_subcommand("quarantine", "What was not accepted: review, replay, discard, export");
  quarantine->require_subcommand(1);
  quarantine->footer(
      "The database is the environment's (DATABASE_URL or PG_*), with the daemon's role. replay "
      "goes by all of the daemon's settings: run it in the daemon's environment.");
  AddReading(quarantine, status);
  AddQuarantineReplayCommand(*quarantine, status);

  auto options = std::make_shared<QuarantineOptions>();
  CLI::App* discard =
      quarantine->add_subcommand("discard", "Marks messages as not wanted; they expire in time");
  AddFilterOptions(discard, options.get(), 0);
  AddChangeOptions(discard, options.get());
  discard->add_flag("--yes", options->yes, "Do not ask");
  discard->callback([options, status] { *status = Discard(*options); });
}

}  // namespace sluice
