#include "base/setting_table.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>

#include "base/escape.h"
#include "base/letter_case.h"
#include "base/roff.h"
#include "base/units.h"

namespace sluice {
namespace {

constexpr std::string_view kMask = "********";
constexpr std::streamsize kMaxSecretBytes = 64 << 10;
constexpr size_t kHelpWidth = 90;

// from_chars of the whole text.
template <typename Number>
std::optional<Number> ParseNumber(std::string_view text) {
  Number number{};
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || rest != end) return std::nullopt;
  return number;
}

template <typename Value>
std::optional<Value> Within(std::optional<Value> value, Value least, Value most) {
  return value && *value >= least && *value <= most ? value : std::nullopt;
}

std::string FormatReal(double number) {
  std::array<char, 32> text{};
  return {
      text.data(),
      std::to_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed).ptr};
}

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kSpaces = " \t\r\n";
  const size_t first = text.find_first_not_of(kSpaces);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpaces) - first + 1);
}

// "none, interval or always"
std::string Alternatives(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += i + 1 == names.size() ? " or " : ", ";
    text += names[i];
  }
  return text;
}

const char* NonEmpty(const Environment& environment, const std::string& name) {
  const char* text = environment(name.c_str());
  return text != nullptr && *text != '\0' ? text : nullptr;
}

Result<std::string> ReadSecretFile(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::string text(kMaxSecretBytes + 1, '\0');
  file.read(text.data(), std::ssize(text));
  if (file.bad() || !file.eof()) {
    if (file.gcount() > kMaxSecretBytes) {
      return Status(ErrorCode::kIo, "the file is larger than " + FormatBytes(kMaxSecretBytes));
    }
    return Status(ErrorCode::kIo, std::string("the file cannot be read: ") + std::strerror(errno));
  }
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  if (text.empty()) return Status(ErrorCode::kIo, "the file is empty");
  return text;
}

SettingValue ReadSetting(const Setting& setting, const Environment& environment,
                         std::vector<SettingError>* errors) {
  const char* text = NonEmpty(environment, setting.name);
  const std::string file_name = setting.name + "_FILE";
  const char* path = setting.secret ? NonEmpty(environment, file_name) : nullptr;
  if (text != nullptr && path != nullptr) {
    errors->push_back(
        {setting.name, setting.name + " and " + file_name + " are both set: set only one of them"});
    return {text, SettingSource::kEnvironment};
  }
  if (path != nullptr) {
    Result<std::string> secret = ReadSecretFile(path);
    if (secret.ok()) return {*std::move(secret), SettingSource::kFile};
    errors->push_back({setting.name, file_name + "=" + Escaped(path) + ": " + secret.message()});
  }
  if (text != nullptr) return {text, SettingSource::kEnvironment};
  return {setting.default_text, SettingSource::kDefault};
}

std::string_view SourceName(SettingSource source) {
  constexpr std::array<std::string_view, 3> kNames = {"default", "environment", "file"};
  return kNames[static_cast<size_t>(source)];
}

// Breaks `text` at spaces into lines of kHelpWidth, each with `indent` before it.
void AppendWrapped(std::string_view text, std::string_view indent, std::string* out) {
  while (!text.empty()) {
    const size_t room = kHelpWidth - indent.size();
    size_t size = text.size();
    if (size > room) {
      size = text.rfind(' ', room);
      if (size == std::string_view::npos) size = std::min(text.find(' '), text.size());
    }
    out->append(indent).append(text.substr(0, size)).append("\n");
    text = Trim(text.substr(size));
  }
}

// "duration in ms: 1ms to 10m": the type, what a bare number counts and the range.
std::string Kind(const Setting& setting) {
  std::string kind = setting.type;
  if (!setting.unit.empty()) kind += " in " + setting.unit;
  if (!setting.range.empty()) kind += ": " + setting.range;
  return kind;
}

// "The meaning. (integer: 1 to 64; secret)"
std::string MeaningAndKind(const Setting& setting) {
  return setting.meaning + " (" + Kind(setting) + (setting.secret ? "; secret" : "") +
         (setting.reloadable ? "; reloadable" : "") + ")";
}

// `|` would end a cell of a Markdown table.
std::string Cell(std::string_view text) {
  std::string cell;
  for (const char c : text) {
    if (c == '|') cell += '\\';
    cell += c;
  }
  return cell;
}

}  // namespace

SettingType<std::string> TextSetting() {
  return {"text", "", "", "text", [](std::string_view text) { return std::string(text); }};
}

SettingType<std::vector<std::string>> ListSetting() {
  return {"list", "", "", "a list separated by commas, without empty places",
          [](std::string_view text) -> std::optional<std::vector<std::string>> {
            std::vector<std::string> items;
            if (text.empty()) return items;
            while (true) {
              const size_t comma = text.find(',');
              items.emplace_back(Trim(text.substr(0, comma)));
              if (items.back().empty()) return std::nullopt;
              if (comma == std::string_view::npos) return items;
              text.remove_prefix(comma + 1);
            }
          }};
}

SettingType<int64_t> IntegerSetting(int64_t least, int64_t most) {
  std::string range = std::to_string(least) + " to " + std::to_string(most);
  return {"integer", "", range, "a whole number, " + range,
          [=](std::string_view text) { return Within(ParseNumber<int64_t>(text), least, most); }};
}

SettingType<double> RealSetting(double least, double most) {
  std::string range = FormatReal(least) + " to " + FormatReal(most);
  return {"number", "", range, "a number, " + range,
          [=](std::string_view text) { return Within(ParseNumber<double>(text), least, most); }};
}

SettingType<bool> FlagSetting() {
  return {"flag", "", "", "1, true, yes or on, or 0, false, no or off",
          [](std::string_view text) -> std::optional<bool> {
            constexpr std::array<std::string_view, 4> kTrue = {"1", "true", "yes", "on"};
            constexpr std::array<std::string_view, 4> kFalse = {"0", "false", "no", "off"};
            const auto same = [&](std::string_view word) { return EqualsIgnoringCase(text, word); };
            if (std::any_of(kTrue.begin(), kTrue.end(), same)) return true;
            if (std::any_of(kFalse.begin(), kFalse.end(), same)) return false;
            return std::nullopt;
          }};
}

SettingType<uint16_t> PortSetting(uint16_t least) {
  std::string range = std::to_string(least) + " to 65535";
  return {"port", "", range, "a port, " + range, [=](std::string_view text) {
            return Within<uint16_t>(ParseNumber<uint16_t>(text), least, 65535);
          }};
}

SettingType<uint64_t> BytesSetting(uint64_t least, uint64_t most) {
  std::string range = FormatBytes(least) + " to " + FormatBytes(most);
  return {"bytes", "", range, "a size such as 512, 64KiB, 10MB or 8GiB, " + range,
          [=](std::string_view text) { return Within(ParseBytes(text), least, most); }};
}

SettingType<std::chrono::milliseconds> DurationSetting(std::chrono::milliseconds unit,
                                                       std::chrono::milliseconds least,
                                                       std::chrono::milliseconds most) {
  std::string unit_name = FormatDuration(unit).substr(1);
  std::string range = FormatDuration(least) + " to " + FormatDuration(most);
  std::string accepts = "a duration such as 250ms, 10s, 10m, 2h or 30d (a bare number counts " +
                        unit_name + "), " + range;
  return {"duration", unit_name, range, accepts,
          [=](std::string_view text) { return Within(ParseDuration(text, unit), least, most); }};
}

SettingType<size_t> ChoiceSetting(std::vector<std::string> names) {
  std::string alternatives = Alternatives(names);
  return {"choice", "", alternatives, alternatives,
          [names = std::move(names)](std::string_view text) -> std::optional<size_t> {
            for (size_t i = 0; i < names.size(); ++i) {
              if (EqualsIgnoringCase(names[i], text)) return i;
            }
            return std::nullopt;
          }};
}

std::vector<SettingValue> ReadSettings(const std::vector<Setting>& settings,
                                       const Environment& environment,
                                       std::vector<SettingError>* errors) {
  std::vector<SettingValue> values;
  values.reserve(settings.size());
  for (const Setting& setting : settings) {
    values.push_back(ReadSetting(setting, environment, errors));
  }
  return values;
}

std::string ShowSetting(const Setting& setting, std::string_view text) {
  const bool masked = setting.secret && !text.empty();
  return setting.name + "=" + (masked ? std::string(kMask) : Escaped(text));
}

std::string RenderSettings(const std::vector<Setting>& settings,
                           const std::vector<SettingValue>& values) {
  std::string out;
  for (size_t i = 0; i < settings.size(); ++i) {
    out.append(ShowSetting(settings[i], values[i].text));
    out.append("  # ").append(SourceName(values[i].source)).append("\n");
  }
  return out;
}

std::string RenderSettingsHelp(const std::vector<Setting>& settings) {
  std::string out;
  std::string_view group;
  for (const Setting& setting : settings) {
    if (setting.group != group) {
      group = setting.group;
      out.append(out.empty() ? "" : "\n").append(group).append(":\n");
    }
    out.append("  ").append(setting.name).append("=").append(setting.default_text).append("\n");
    AppendWrapped(MeaningAndKind(setting), "      ", &out);
  }
  return out;
}

std::string RenderSettingsMarkdown(const std::vector<Setting>& settings) {
  std::string out;
  std::string_view group;
  for (const Setting& setting : settings) {
    if (setting.group != group) {
      group = setting.group;
      out.append(out.empty() ? "" : "\n").append("## ").append(group).append("\n\n");
      out += "| Setting | Default | Type | Meaning |\n|---|---|---|---|\n";
    }
    const std::string default_text =
        setting.default_text.empty() ? "" : "`" + Cell(setting.default_text) + "`";
    out += "| `" + setting.name + "` | " + default_text + " | " + Cell(Kind(setting)) + " | " +
           Cell(setting.meaning) + (setting.secret ? " **Secret.**" : "") +
           (setting.reloadable ? " **Reloadable.**" : "") + " |\n";
  }
  return out;
}

std::string RenderSettingsManual(const std::vector<Setting>& settings) {
  std::string out;
  std::string_view group;
  for (const Setting& setting : settings) {
    if (setting.group != group) {
      group = setting.group;
      out.append(".SH ").append(Roff(group)).append("\n");
    }
    out += ".TP\n\\fB" + Roff(setting.name) + "\\fR=" + Roff(setting.default_text) + "\n" +
           Roff(MeaningAndKind(setting)) + "\n";
  }
  return out;
}

std::string RenderSettingsFile(const std::vector<Setting>& settings) {
  std::string out;
  std::string_view group;
  for (const Setting& setting : settings) {
    if (setting.group != group) {
      group = setting.group;
      out.append("\n# ---- ").append(group).append("\n");
    }
    out.append("\n");
    AppendWrapped(MeaningAndKind(setting), "# ", &out);
    const bool plain = setting.default_text.find(' ') == std::string::npos;
    const std::string quote = plain ? "" : "'";
    out += "#" + setting.name + "=" + quote + setting.default_text + quote + "\n";
  }
  return out;
}

}  // namespace sluice
