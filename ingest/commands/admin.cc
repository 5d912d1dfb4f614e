#include "ingest/commands/admin.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "base/escape.h"
#include "ingest/settings.h"
#include "schema/timestamp.h"

namespace sluice {
namespace {

void PrintRow(const std::vector<std::string>& cells, const std::vector<size_t>& widths) {
  std::string line;
  for (size_t i = 0; i < cells.size(); ++i) {
    line += cells[i];
    if (i + 1 < cells.size()) line.append(widths[i] - cells[i].size() + 2, ' ');
  }
  std::printf("%s\n", line.c_str());
}

void PrintRows(std::span<const char* const> columns, const PgRows& rows) {
  std::vector<std::vector<std::string>> table = {{columns.begin(), columns.end()}};
  for (int row = 0; row < rows.size(); ++row) {
    table.emplace_back();
    for (size_t i = 0; i < columns.size(); ++i) {
      table.back().emplace_back(rows.Text(row, static_cast<int>(i)));
    }
  }
  PrintTable(std::move(table));
}

}  // namespace

void PrintTable(std::vector<std::vector<std::string>> table) {
  std::vector<size_t> widths(table.front().size());
  for (auto& cells : table) {
    for (size_t i = 0; i < cells.size(); ++i) {
      cells[i] = Escaped(cells[i]);
      widths[i] = std::max(widths[i], cells[i].size());
    }
  }
  for (const auto& cells : table) PrintRow(cells, widths);
}

int WithAdmin(const char* command, const std::function<int(DeviceAdmin&)>& work) {
  const Result<Settings> settings = LoadSettings(&std::getenv, SettingsFor::kTool);
  if (!settings.ok()) return RefuseSettings(command, settings.message());
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
    PrintRows(columns, *rows);
  } else {
    std::printf("%s\n", std::string(rows->Text(0, 0)).c_str());
  }
  return kExitOk;
}

std::string FormatUtc(UnixMicros time) {
  constexpr size_t kToTheSecond = sizeof("2026-03-01T10:00:00") - 1;
  return FormatIso8601(time).substr(0, kToTheSecond) + "Z";
}

void AddPkiDirOption(CLI::App* command, std::string* directory) {
  command->add_option("--dir", *directory, "The directory that sluice pki init made")
      ->envname("PKI_DIR")
      ->required();
}

}  // namespace sluice
