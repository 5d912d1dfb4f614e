#include "base/command_docs.h"

#include <algorithm>
#include <cctype>
#include <sstream>
#include <vector>

#include "base/roff.h"

namespace sluice {
namespace {

std::vector<const CLI::App*> CommandsOf(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App* sub) { return !sub->get_group().empty(); });
}

std::vector<const CLI::Option*> OptionsOf(const CLI::App& app) {
  return app.get_options([](const CLI::Option* option) { return !option->get_group().empty(); });
}

bool TakesValue(const CLI::Option& option) {
  return option.get_items_expected_max() > 0;
}

std::string Bold(const std::string& text) {
  return "\\fB" + Roff(text) + "\\fR";
}

std::string Italic(const std::string& text) {
  return "\\fI" + Roff(text) + "\\fR";
}

// "--tenant TEXT", the names bold and the value's kind italic; "ID" for what has no dashes.
std::string OptionHeading(const CLI::Option& option) {
  if (option.get_positional()) return Italic(option.get_name(true, false));
  std::string heading;
  for (const std::string& name : option.get_snames()) heading += Bold("-" + name) + ", ";
  for (const std::string& name : option.get_lnames()) heading += Bold("--" + name) + ", ";
  heading.resize(heading.size() - 2);
  if (TakesValue(option)) heading += " " + Italic(option.get_type_name());
  return heading;
}

std::string OptionText(const CLI::Option& option) {
  std::string text = option.get_description();
  if (option.get_required()) text += " (required)";
  if (TakesValue(option) && !option.get_default_str().empty()) {
    text += " (default: " + option.get_default_str() + ")";
  }
  if (!option.get_envname().empty()) text += " (environment: " + option.get_envname() + ")";
  return Roff(text);
}

// --help once, with the program's own.
std::string OptionList(const CLI::App& app) {
  std::string list;
  for (const CLI::Option* option : OptionsOf(app)) {
    if (option == app.get_help_ptr() && app.get_parent() != nullptr) continue;
    list += ".TP\n" + OptionHeading(*option) + "\n" + OptionText(*option) + "\n";
  }
  return list;
}

// "[OPTIONS] tenant device", or "COMMAND" where one must follow.
std::string Arguments(const CLI::App& app) {
  std::string arguments = " [OPTIONS]";
  for (const CLI::Option* option : OptionsOf(app)) {
    if (!option->get_positional()) continue;
    const std::string name = option->get_name(true, false);
    arguments += option->get_required() ? " " + name : " [" + name + "]";
  }
  return CommandsOf(app).empty() ? arguments : arguments + " COMMAND";
}

std::string Paragraphs(const std::string& text) {
  std::string paragraphs;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty()) paragraphs += ".PP\n" + Roff(line) + "\n";
  }
  return paragraphs;
}

void AppendCommand(const CLI::App& command, const std::string& path, std::string* page) {
  *page += ".SS " + Bold(path) + Roff(Arguments(command)) + "\n" + Roff(command.get_description()) +
           ".\n" + OptionList(command) + Paragraphs(command.get_footer());
  for (const CLI::App* sub : CommandsOf(command)) {
    AppendCommand(*sub, path + " " + sub->get_name(), page);
  }
}

// The words that may follow each command, and its options that take a value: keys and values of two
// associative arrays, as bash and zsh both read them.
void AppendWords(const CLI::App& app, const std::string& path, std::string* words,
                 std::string* valued) {
  std::string here;
  for (const CLI::App* sub : CommandsOf(app)) here += sub->get_name() + " ";
  for (const CLI::Option* option : OptionsOf(app)) {
    for (const std::string& name : option->get_lnames()) {
      here += "--" + name + " ";
      if (TakesValue(*option)) *valued += "    '" + path + " --" + name + "' 1\n";
    }
  }
  *words += "    '" + path + "' '" + here + "'\n";
  for (const CLI::App* sub : CommandsOf(app)) {
    AppendWords(*sub, path + " " + sub->get_name(), words, valued);
  }
}

std::string UpperCase(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

}  // namespace

std::string RenderManual(const CLI::App& program, const ManualText& text) {
  const std::string& name = program.get_name();
  std::string page = RoffTitle(UpperCase(name), 1, text.source) + ".SH NAME\n" + Roff(name) +
                     " \\- " + Roff(text.summary) + "\n.SH SYNOPSIS\n" + Bold(name) +
                     Roff(Arguments(program)) + "\n.SH OPTIONS\n" + OptionList(program) +
                     ".SH COMMANDS\n";
  for (const CLI::App* command : CommandsOf(program)) {
    AppendCommand(*command, name + " " + command->get_name(), &page);
  }
  return page + Paragraphs(program.get_footer()) + text.more;
}

std::string RenderBashCompletion(const CLI::App& program) {
  const std::string& name = program.get_name();
  std::string function = "_" + name;
  std::replace(function.begin(), function.end(), '-', '_');
  std::string words;
  std::string valued;
  AppendWords(program, name, &words, &valued);
  return "# bash completion of " + name + "; made by `" + name + " --print-docs bash`.\n" +
         function + "() {\n  local path=" + name + " word\n  local -A words=(\n" + words +
         "  ) valued=(\n" + valued + R"(  )
  COMPREPLY=()
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    [[ -z ${words["$path $word"]:-} ]] || path+=" $word"
  done
  [[ -z ${valued["$path ${COMP_WORDS[COMP_CWORD-1]}"]:-} ]] || return 0
  mapfile -t COMPREPLY < <(compgen -W "${words["$path"]}" -- "${COMP_WORDS[COMP_CWORD]}")
}
complete -o default -F )" +
         function + " " + name + "\n";
}

std::string RenderZshCompletion(const CLI::App& program) {
  const std::string& name = program.get_name();
  std::string follow;
  std::string valued;
  AppendWords(program, name, &follow, &valued);
  return "#compdef " + name + "\n# made by `" + name + " --print-docs zsh`\nlocal at=" + name +
         " word\nlocal -A follow=(\n" + follow + ") valued=(\n" + valued + R"()
for word in "${(@)words[2,CURRENT-1]}"; do
  [[ -z ${follow[$at $word]-} ]] || at+=" $word"
done
if [[ -n ${valued[$at ${words[CURRENT-1]}]-} ]]; then
  _files
else
  compadd -- ${=follow[$at]}
fi
)";
}

void AddDocsOption(CLI::App& program,
                   const std::map<std::string, std::function<std::string()>>& pages) {
  program
      .add_option_function<std::string>(
          "--print-docs",
          [pages](const std::string& kind) {
            std::fputs(pages.at(kind)().c_str(), stdout);
            throw CLI::Success();
          },
          "")
      ->check(CLI::IsMember(pages))
      ->group("");
}

}  // namespace sluice
