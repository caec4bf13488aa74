// The list of rivals: the program of each in bench/peers, and the rows that it cannot take part in.
// A new rival needs one line here and one file there.
#include "throughput/entrants.h"

#include "throughput/server_process.h"

#include <algorithm>
#include <filesystem>
#include <span>
#include <string_view>

namespace tern::bench {
namespace {

struct Rival {
  std::string_view name;
  std::string_view program;
  std::span<const Gap> gaps{};
  std::string_view client{};  // the client program; empty: none
  Seconds warm_up = usual_warm_up;
};

constexpr Gap websocketpp_gaps[] = {
    {"deflate", "its level is always 6, its memory level 4"},
};
constexpr Gap uwebsockets_gaps[] = {
    {"deflate", "its level is always zlib's default, 6"},
};
constexpr Rival rivals[] = {
    {"uWS", "uwebsockets_echo", uwebsockets_gaps},
    {"Beast", "beast_echo", {}, "beast_client"},
    {.name = "lws", .program = "lws_echo", .warm_up = Seconds(1)},
    {"websocketpp", "websocketpp_echo", websocketpp_gaps},
    {"gorilla", "gorilla_echo", {}, "gorilla_client"},
    {.name = "ws", .program = "node_echo", .warm_up = Seconds(1)},
};

bool is_beside_this_program(std::string_view program) {
  return !program.empty() && std::filesystem::exists(beside_this_program(std::string(program)));
}
bool is_here(const Rival& rival) { return is_beside_this_program(rival.program); }

// The limits are so high that the load never reaches them. Every check of the server stays on.
std::vector<std::string> command_of(const std::string& program,
                                    const std::vector<std::string>& flags) {
  std::vector<std::string> command{program, "--port", "0", "--max-message", "16777216"};
  command.insert(command.end(), flags.begin(), flags.end());
  return command;
}

}  // namespace

std::vector<Entrant> entrants(const CompareOptions& options,
                              const std::vector<std::string>& flags) {
  std::vector<Entrant> all;
  for (std::size_t i = 0; i < options.servers.size(); ++i) {
    std::vector<std::string> command = command_of(options.servers[i], flags);
    command.insert(command.end(), {"--queue-limit", "1073741824", "--idle-timeout", "3600"});
    all.push_back({i == 0 ? "tern" : "tern #" + std::to_string(i + 1), std::move(command)});
  }
  for (const Rival& rival : rivals) {
    if (!options.rivals || !is_here(rival)) continue;
    all.push_back({.name = std::string(rival.name),
                   .command = command_of(beside_this_program(std::string(rival.program)), flags),
                   .gaps = rival.gaps,
                   .may_fail = true,
                   .warm_up = rival.warm_up});
  }
  return all;
}

std::vector<Entrant> client_entrants() {
  std::vector<Entrant> all;
  const auto add = [&](std::string_view name, std::string_view program, bool may_fail) {
    all.push_back({.name = std::string(name),
                   .command = {beside_this_program("tern-bench"), "ceiling"},
                   .may_fail = may_fail,
                   .client = beside_this_program(std::string(program))});
  };
  add("tern", "tern_loop_client", false);
  add("tern engine", "tern_client", false);
  add("tern blocking", "tern_blocking_client", false);
  for (const Rival& rival : rivals) {
    if (is_beside_this_program(rival.client)) add(rival.name, rival.client, true);
  }
  return all;
}

Entrant ceiling(const std::string& name) {
  return {.name = name,
          .command = {beside_this_program("tern-bench"), "ceiling"},
          .echoes_content = false};
}

Entrant ceiling(const std::string& name, const std::string& flag, std::string_view rows) {
  Entrant entrant = ceiling(name);
  entrant.command.push_back(flag);
  entrant.rows = rows;
  return entrant;
}

bool any_rival_is_here() { return std::ranges::any_of(rivals, is_here); }

}  // namespace tern::bench
