#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>

#include "auth/pki/certificate.h"
#include "auth/pki/pki_files.h"
#include "base/ascii_json.h"
#include "base/clock.h"
#include "base/escape.h"
#include "ingest/commands/admin.h"
#include "ingest/commands/quarantine_options.h"
#include "ingest/commands/terminal_text.h"
#include "ingest/explainer.h"
#include "schema/reason_help.h"
#include "schema/timestamp.h"

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMostRows = 10;  // shown to people
constexpr int kExitQuarantined = 1;
constexpr int kExitNotTaken = 2;
constexpr int kExitCannotSay = 69;  // EX_UNAVAILABLE of sysexits.h

struct Options {
  std::string topic;
  std::string payload;
  std::string payload_file;
  std::string from;  // "-"
  std::string identity;
  std::string proof;
  std::string certificate;
  std::string stamp;
  std::string received;
  int64_t id = 0;
  bool json = false;
};

int CannotSay(const std::string& message) {
  Complain("explain", message);
  return kExitCannotSay;
}

Status Unusable(const std::string& what) {
  return {ErrorCode::kInvalidArgument, what};
}

Status ReadPayload(const Options& options, std::string* payload) {
  if (options.from == "-" || options.payload_file == "-") {
    *payload = std::string(std::istreambuf_iterator<char>(std::cin), {});
    return Status::Ok();
  }
  if (options.payload_file.empty()) {
    *payload = options.payload;
    return Status::Ok();
  }
  Result<std::string> content = ReadWholeFile(options.payload_file);
  if (!content.ok()) return content.status();
  *payload = *std::move(content);
  return Status::Ok();
}

// Of a device by default: it has logged in with its token; of a service: by its account.
Status ReadSender(const Options& options, ExplainedMessage* message) {
  if (!options.stamp.empty()) message->stamp = options.stamp;
  if (!options.identity.empty()) {
    message->identity = options.identity;
    const bool device = options.identity.find('/') != std::string::npos;
    message->proof = !options.proof.empty() ? options.proof : device ? "token" : "account";
    StampClaim parsed{StampMethod::kAccount, options.identity};
    if (ParseStampMethod(message->proof, &parsed)) return Status::Ok();
    return Unusable("--proof " + options.proof + ": give cert:FINGERPRINT, token or account");
  }
  if (options.certificate.empty()) return Status::Ok();
  const Result<std::string> pem = ReadWholeFile(options.certificate);
  if (!pem.ok()) return pem.status();
  const Result<Certificate> certificate = ReadCertificate(*pem);
  if (!certificate.ok()) return Unusable(options.certificate + ": " + certificate.message());
  message->identity = certificate->common_name;
  message->proof = "cert:" + certificate->fingerprint_sha256;
  return Status::Ok();
}

Result<ExplainedMessage> MessageOf(const Options& options, const Settings& settings) {
  if (options.id != 0) return FetchQuarantinedMessage(settings, options.id);
  ExplainedMessage message;
  message.topic = options.topic;
  message.received = SystemClock().Now();
  if (!options.received.empty()) {
    const auto time = ParseIso8601(options.received);
    if (!time)
      return Unusable("--received " + options.received + " is no time such as " +
                      FormatIso8601(message.received));
    message.received = *time;
  }
  if (Status read = ReadPayload(options, &message.payload); !read.ok()) return read;
  if (Status read = ReadSender(options, &message); !read.ok()) return read;
  return message;
}

std::string_view OutcomeOf(const Explanation& explanation) {
  if (!explanation.taken) return "not taken";
  return explanation.reason ? "quarantined" : "stored";
}

void PrintJson(const Explanation& explanation) {
  Json checks = Json::array();
  for (const CheckSeen& seen : explanation.checks) {
    checks.push_back({{"check", seen.check->number},
                      {"what", seen.check->what},
                      {"verdict", VerdictName(seen.verdict)},
                      {"saw", seen.saw}});
  }
  Json rows = Json::array();
  for (const Explanation::Row& row : explanation.rows) {
    Json& object = rows.emplace_back(Json::object());
    for (const auto& [column, value] : row) object[column] = value;
  }
  Json whole = {{"outcome", OutcomeOf(explanation)}, {"checks", checks}, {"rows", rows}};
  if (explanation.reason) {
    const ReasonHelp help = HelpFor(*explanation.reason);
    whole["reason"] = ReasonName(*explanation.reason);
    whole["detail"] = explanation.detail;
    whole["explanation"] = help.explanation;
    whole["remedy"] = help.remedy;
  }
  whole["notes"] = explanation.notes;
  std::printf("%s\n", DumpAscii(whole).c_str());
}

void PrintReason(const Explanation& explanation) {
  const ReasonHelp help = HelpFor(*explanation.reason);
  std::printf("It would be quarantined: %s\n%s\n%s\n",
              std::string(ReasonName(*explanation.reason)).c_str(),
              std::string(help.explanation).c_str(), std::string(help.remedy).c_str());
}

void PrintRows(const Explanation& explanation) {
  const size_t count = explanation.rows.size();
  std::printf("It would be stored in telemetry, %zu row%s:\n", count, count == 1 ? "" : "s");
  for (size_t i = 0; i < std::min(count, kMostRows); ++i) {
    if (i > 0) std::printf("\n");
    for (const auto& [column, value] : explanation.rows[i]) {
      std::printf("  %-11s  %s\n", column.c_str(), TerminalText(value).c_str());
    }
  }
  if (count > kMostRows) std::printf("and %zu more, see --json\n", count - kMostRows);
}

void Print(const Explanation& explanation) {
  std::vector<std::vector<std::string>> table = {{"", "verdict", "check", "saw"}};
  for (const CheckSeen& seen : explanation.checks) {
    const bool refused = seen.verdict == CheckVerdict::kRefused;
    table.push_back({std::to_string(seen.check->number),
                     refused ? "REFUSED" : std::string(VerdictName(seen.verdict)),
                     std::string(seen.check->what), seen.saw.empty() ? "-" : seen.saw});
  }
  PrintTable(std::move(table));
  std::printf("\n");
  if (explanation.reason) {
    PrintReason(explanation);
  } else {
    PrintRows(explanation);
  }
  for (const std::string& note : explanation.notes) std::printf("%s\n", Escaped(note).c_str());
}

int Run(const Options& options) {
  if (options.topic.empty() && options.id == 0) return CannotSay("give --topic, or --id");
  const Result<Settings> settings = LoadSettings(&std::getenv, SettingsFor::kTool);
  if (!settings.ok()) return RefuseSettings("explain", settings.message());
  const Result<ExplainedMessage> message = MessageOf(options, *settings);
  if (!message.ok()) return CannotSay(message.message());
  const Result<Explanation> explanation = Explain(*settings, *message);
  if (!explanation.ok()) return CannotSay(explanation.message());
  if (options.json) {
    PrintJson(*explanation);
  } else {
    Print(*explanation);
  }
  if (!explanation->taken) return kExitNotTaken;
  return explanation->reason ? kExitQuarantined : kExitOk;
}

void AddMessageOptions(CLI::App* command, Options* options) {
  CLI::Option* id = command->add_option("--id", options->id, "A message of the quarantine instead")
                        ->transform(IsMessageNumber());
  CLI::Option* text = command->add_option("--payload", options->payload, "Its payload");
  CLI::Option* file = command->add_option("--payload-file", options->payload_file,
                                          "A file with it; - reads it here");
  CLI::Option* dash = command->add_option("INPUT", options->from, "-: read the payload here")
                          ->check(CLI::IsMember({"-"}));
  text->excludes(file)->excludes(dash);
  file->excludes(dash);
  CLI::Option* topic = command->add_option("--topic", options->topic, "The message's topic");
  CLI::Option* received = command->add_option(
      "--received", options->received, "When it arrived, as 2026-03-01T10:00:00Z; by default now");
  for (CLI::Option* option : {text, file, dash, topic, received}) id->excludes(option);
}

void AddSenderOptions(CLI::App* command, Options* options) {
  CLI::Option* certificate =
      command->add_option("--certificate", options->certificate,
                          "The sender's certificate: its common name is who it is");
  CLI::Option* identity =
      command->add_option("--identity", options->identity,
                          "Whom the broker knows as the sender: TENANT/DEVICE or an account");
  command
      ->add_option(
          "--proof", options->proof,
          "How the broker knows it: cert:FINGERPRINT, token or account. By default token for "
          "a device, account for a service")
      ->needs(identity);
  CLI::Option* stamp = command->add_option(
      "--stamp", options->stamp, "The value of the user property sluice-stamp, as it came");
  CLI::Option* id = command->get_option("--id");
  certificate->excludes(identity)->excludes(stamp)->excludes(id);
  identity->excludes(stamp)->excludes(id);
  stamp->excludes(id);
}

}  // namespace

void AddExplainCommand(CLI::App& app, int* status) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "explain", "Says what each check sees of a message and what would become of it");
  AddMessageOptions(command, options.get());
  AddSenderOptions(command, options.get());
  command->add_flag("--json", options->json, "As a JSON object");
  command->footer(
      "Judges by all of the daemon's settings, so run it in the daemon's environment, and with its "
      "role. Nothing is written.\n"
      "Exit status: 0 it would be stored, 1 quarantined, 2 the daemon would not take it, 69 it "
      "cannot be said, 78 a setting will not do.");
  command->callback([options, status] { *status = Run(*options); });
}

}  // namespace sluice
