#include <CLI/CLI.hpp>

#include "ingest/commands/commands.h"

int main(int argc, char** argv) {
  CLI::App app("Sluice: the gate between an MQTT fleet and PostgreSQL", "sluice");
  app.set_version_flag("--version", "sluice " SLUICE_VERSION);
  app.require_subcommand(1);
  int status = sluice::kExitOk;
  sluice::AddIngestCommand(app, &status);
  sluice::AddDrainCommand(app, &status);
  sluice::AddMigrateCommand(app, &status);
  sluice::AddStatusCommand(app, &status);
  sluice::AddQuarantineCommand(app, &status);
  sluice::AddExplainCommand(app, &status);
  sluice::AddDoctorCommand(app, &status);
  sluice::AddDeviceCommand(app, &status);
  sluice::AddPkiCommand(app, &status);
  sluice::AddCrlCommand(app, &status);
  CLI11_PARSE(app, argc, argv);
  return status;
}
