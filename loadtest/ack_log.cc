#include "loadtest/ack_log.h"

#include <fcntl.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

namespace sluice::loadtest {

Result<AckLog> AckLog::Open(const std::string& path, const std::vector<Sender>& senders) {
  AckLog log;
  if (path.empty()) return log;
  log.file_.Reset(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!log.file_.valid()) {
    return Status(ErrorCode::kIo, "cannot open " + path + ": " + std::strerror(errno));
  }
  for (const Sender& sender : senders) {
    log.prefixes_.push_back(sender.tenant + " " + sender.device + " ");
  }
  return log;
}

void AckLog::Acknowledged(uint32_t sender, uint64_t seq, Kind kind) {
  if (!file_.valid()) return;
  std::array<char, 24> digits;
  char* const begin = digits.data();
  char* const end = std::to_chars(begin, begin + digits.size(), seq).ptr;
  lines_.append(prefixes_[sender]).append(begin, end);
  if (kind != Kind::kGood) lines_.append(" ").append(KindName(kind));
  lines_.push_back('\n');
}

Status AckLog::Flush() {
  size_t at = 0;
  while (at < lines_.size()) {
    const ssize_t n = ::write(file_.get(), lines_.data() + at, lines_.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0)
      return {ErrorCode::kIo, std::string("cannot write the log: ") + std::strerror(errno)};
    at += static_cast<size_t>(n);
  }
  lines_.clear();
  return Status::Ok();
}

}  // namespace sluice::loadtest
