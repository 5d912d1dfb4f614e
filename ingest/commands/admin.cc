#include "ingest/commands/admin.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <vector>

#include "base/escape.h"
#include "ingest/settings.h"

namespace sluice {
namespace {

constexpr UnixMicros kMicrosPerSecond = 1'000'000;

void PrintRow(const std::vector<std::string>& cells, const std::vector<size_t>& widths) {
  std::string line;
  for (size_t i = 0; i < cells.size(); ++i) {
    line += cells[i];
    if (i + 1 < cells.size()) line.append(widths[i] - cells[i].size() + 2, ' ');
  }
  std::printf("%s\n", line.c_str());
}

void PrintTable(std::span<const char* const> columns, const PgRows& rows) {
  std::vector<std::vector<std::string>> table = {{columns.begin(), columns.end()}};
  std::vector<size_t> widths(columns.size());
  for (int row = 0; row < rows.size(); ++row) {
    table.emplace_back();
    for (size_t i = 0; i < columns.size(); ++i) {
      table.back().push_back(Escaped(rows.Text(row, static_cast<int>(i))));
    }
  }
  for (const auto& cells : table) {
    for (size_t i = 0; i < cells.size(); ++i) widths[i] = std::max(widths[i], cells[i].size());
  }
  for (const auto& cells : table) PrintRow(cells, widths);
}

}  // namespace

int Complain(const char* command, const std::string& message, int code) {
  std::fprintf(stderr, "sluice %s: %s\n", command, Escaped(message).c_str());
  return code;
}

int WithAdmin(const char* command, const std::function<int(DeviceAdmin&)>& work) {
  const Result<Settings> settings = LoadSettings(&std::getenv);
  if (!settings.ok()) {
    std::fprintf(stderr, "sluice %s: %s\n", command, settings.message().c_str());
    return kExitConfig;
  }
  auto connection = PgConnection::Connect(settings->Conninfo(), settings->pg_connect_timeout);
  if (!connection.ok()) return Complain(command, connection.error().Describe());
  (*connection)->set_timeout(settings->write_timeout);
  Result<DeviceAdmin> admin = DeviceAdmin::Open(connection->get());
  if (!admin.ok()) return Complain(command, admin.message());
  return work(*admin);
}

int PrintList(const char* command, std::span<const char* const> columns, const Result<PgRows>& rows,
              ListFormat format) {
  if (!rows.ok()) return Complain(command, rows.message());
  if (format == ListFormat::kRows) {
    PrintTable(columns, *rows);
  } else {
    std::printf("%s\n", std::string(rows->Text(0, 0)).c_str());
  }
  return kExitOk;
}

std::string FormatUtc(UnixMicros time) {
  const time_t seconds = time / kMicrosPerSecond;
  tm parts{};
  char text[32];
  gmtime_r(&seconds, &parts);
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

void AddPkiDirOption(CLI::App* command, std::string* directory) {
  command->add_option("--dir", *directory, "The directory that sluice pki init made")
      ->envname("PKI_DIR")
      ->required();
}

}  // namespace sluice
