// The daemon between a real broker and a real database, for tests that are not C++. Prints one
// line, "HTTP_PORT MQTT_PORT DATABASE_URL"; then does what each line of standard input says and
// answers "ok":
//   start [NAME=VALUE …]  the daemon, with these settings besides; when it is ready
//   stop                  the daemon, in an orderly way
//   stop-broker, start-broker
// Ends, with everything that it has started, when standard input does.
#include <gtest/gtest.h>

#include <iostream>
#include <sstream>
#include <string>

#include "tests/support/sluice_stack.h"

namespace sluice::testing {
namespace {

void StartWith(const Env& defaults, std::istream& settings, SluiceStack* stack) {
  stack->env() = defaults;
  for (std::string setting; settings >> setting;) {
    const size_t equals = setting.find('=');
    stack->env()[setting.substr(0, equals)] = setting.substr(equals + 1);
  }
  stack->Start();
}

void Obey() {
  SluiceStack stack;
  const Env defaults = stack.env();
  std::cout << stack.http_port() << ' ' << stack.broker().port() << ' '
            << stack.server().Url(stack.database()) << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string command;
    words >> command;
    if (command == "start") {
      StartWith(defaults, words, &stack);
    } else if (command == "stop") {
      stack.Stop();
    } else if (command == "stop-broker") {
      stack.broker().Stop();
    } else {
      stack.broker().Start();
    }
    std::cout << "ok" << std::endl;
  }
}

}  // namespace
}  // namespace sluice::testing

int main() {
  sluice::testing::Obey();
}
