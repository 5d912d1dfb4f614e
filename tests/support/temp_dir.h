// TempDir: a directory of one test, removed with everything in it.
#pragma once

#include <string>
#include <string_view>

namespace sluice::testing {

// Below $TMPDIR or /tmp, mode 0755, so that servers of other users can be given a part of it.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  std::string Path(std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  std::string path_;
};

// Whole files; both abort the program on an I/O error, except that a missing file reads as "".
void WriteFile(const std::string& path, std::string_view content);
std::string ReadFile(const std::string& path);
// How often it stands in the text.
size_t TimesIn(std::string_view text, std::string_view what);

}  // namespace sluice::testing
