#include <netdb.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "base/unique_fd.h"
#include "ingest/doctor/checks.h"
#include "ingest/status_view.h"

namespace sluice {
namespace {

// 0 when a server could listen there, else why not.
int WhyNotListen(const Settings& settings) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (::getaddrinfo(settings.http_host.c_str(), std::to_string(settings.http_port).c_str(), &hints,
                    &found) != 0) {
    return EADDRNOTAVAIL;
  }
  const UniqueFd socket(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const int bound = ::bind(socket.get(), found->ai_addr, found->ai_addrlen);
  const int error = errno;
  ::freeaddrinfo(found);
  return bound == 0 ? 0 : error;
}

void CheckPort(const Patient& patient, Findings* out) {
  const Settings& settings = patient.settings();
  const std::string place = settings.http_host + ":" + std::to_string(settings.http_port);
  const int error = WhyNotListen(settings);
  if (error == 0) return out->Ok("port", place + " is free");
  if (error == EADDRINUSE && patient.daemon.pid) {
    return out->Fail("port", "a daemon runs here and does not answer on " + place,
                     "look at its log; is HTTP_PORT the one that it was started with?");
  }
  if (error == EADDRINUSE) {
    return out->Fail("port", "another program listens on " + place,
                     "end it, or give the daemon another HTTP_PORT");
  }
  out->Fail("port", place + ": " + std::strerror(error),
            "set HTTP_HOST to an address of this machine and HTTP_PORT to a port that the daemon's "
            "user may take");
}

}  // namespace

std::vector<Finding> CheckHttp(const Patient& patient) {
  Findings out("http");
  const DaemonHere& daemon = patient.daemon;
  if (!daemon.answers) {
    if (patient.settings().http_port == 0) {
      out.Ok("port", "HTTP_PORT=0 takes any free one");
    } else {
      CheckPort(patient, &out);
    }
    return out.Take();
  }
  if (daemon.ready) out.Ok("ready", "the daemon that runs here is ready");
  for (const std::string& reason : daemon.reasons) {
    out.Fail("ready", "the daemon that runs here is not ready: " + reason,
             "see docs/operations.md, What the reasons of /ready mean");
  }
  for (const std::string& note : daemon.notes) {
    if (note == kTopicModeMeans) continue;  // CheckSettings says so
    out.Warn("notes", note, "see docs/operations.md, below the reasons of /ready");
  }
  return out.Take();
}

}  // namespace sluice
