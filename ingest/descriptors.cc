#include "ingest/descriptors.h"

#include <sys/resource.h>

#include <cerrno>
#include <string>
#include <system_error>

namespace sluice {
namespace {

constexpr uint64_t kFixed = 64;
constexpr uint64_t kPerWorker = 2;  // its connection, and a segment it reads

}  // namespace

uint64_t DescriptorsNeeded(const Settings& settings) {
  return kFixed + static_cast<uint64_t>(settings.http_max_connections) +
         kPerWorker * static_cast<uint64_t>(settings.ingest_worker_count);
}

Status EnsureDescriptors(uint64_t needed) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return {ErrorCode::kIo,
            "getrlimit: " + std::error_code(errno, std::generic_category()).message()};
  }
  if (limit.rlim_cur >= needed) return Status::Ok();
  if (limit.rlim_max >= needed) {
    limit.rlim_cur = needed;
    if (::setrlimit(RLIMIT_NOFILE, &limit) == 0) return Status::Ok();
  }
  return {ErrorCode::kInvalidArgument,
          "too few file descriptors: " + std::to_string(needed) + " are needed, the limit is " +
              std::to_string(limit.rlim_max) + "; raise it with LimitNOFILE= or ulimit -n"};
}

}  // namespace sluice
