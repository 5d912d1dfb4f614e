#include "loadtest/targets.h"

#include <libpq-fe.h>
#include <netdb.h>
#include <netinet/in.h>

#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <sstream>

#include "mqtt/channel.h"

namespace sluice::loadtest {
namespace {

constexpr const char* kAdvice = "; if it is yours, say --i-own-this-broker";

bool IsLoopback(const mqtt::Endpoint& endpoint) {
  if (endpoint.address.ss_family == AF_INET) {
    sockaddr_in address;
    std::memcpy(&address, &endpoint.address, sizeof address);
    return ntohl(address.sin_addr.s_addr) >> 24 == 127;
  }
  sockaddr_in6 address;
  std::memcpy(&address, &endpoint.address, sizeof address);
  const in6_addr& ip = address.sin6_addr;
  return IN6_IS_ADDR_LOOPBACK(&ip) || (IN6_IS_ADDR_V4MAPPED(&ip) && ip.s6_addr[12] == 127);
}

std::string AddressText(const mqtt::Endpoint& endpoint) {
  std::array<char, NI_MAXHOST> text{};
  ::getnameinfo(reinterpret_cast<const sockaddr*>(&endpoint.address), endpoint.length, text.data(),
                text.size(), nullptr, 0, NI_NUMERICHOST);
  return text.data();
}

using ConninfoOptions = std::unique_ptr<PQconninfoOption, void (*)(PQconninfoOption*)>;

void Collect(const PQconninfoOption* option, std::map<std::string, std::string>* values) {
  for (; option != nullptr && option->keyword != nullptr; ++option) {
    if (option->val != nullptr) values->emplace(option->keyword, option->val);
  }
}

}  // namespace

Status CheckIsLocal(const std::string& what, const std::string& host) {
  const auto endpoints = mqtt::Resolve(host, 0);
  if (!endpoints.ok()) return {endpoints.code(), what + " at " + endpoints.message()};
  for (const mqtt::Endpoint& endpoint : *endpoints) {
    if (IsLoopback(endpoint)) continue;
    return {ErrorCode::kInvalidArgument, what + " at " + host + " (" + AddressText(endpoint) +
                                             ") is not on this machine" + kAdvice};
  }
  return Status::Ok();
}

Status CheckDatabaseIsLocal(const std::string& conninfo) {
  const ConninfoOptions given(PQconninfoParse(conninfo.c_str(), nullptr), &PQconninfoFree);
  if (given == nullptr) {
    return {ErrorCode::kInvalidArgument, "the database's connection string cannot be read"};
  }
  std::map<std::string, std::string> values;
  Collect(given.get(), &values);
  // libpq looks into the environment for each keyword by itself.
  const ConninfoOptions defaults(PQconndefaults(), &PQconninfoFree);
  Collect(defaults.get(), &values);
  if (values.contains("service")) {
    return {ErrorCode::kInvalidArgument,
            std::string("the database is where a service file says") + kAdvice};
  }
  std::istringstream hosts(values[values["hostaddr"].empty() ? "host" : "hostaddr"]);
  for (std::string host; std::getline(hosts, host, ',');) {
    if (host.empty() || host[0] == '/' || host[0] == '@') continue;
    Status status = CheckIsLocal("the database", host);
    if (!status.ok()) return status;
  }
  return Status::Ok();
}

}  // namespace sluice::loadtest
