// The servers of a comparison, or the clients, in turns. A new process and new connections for each
// visit: where their memory comes to lie in the caches, the kernel's too, is a matter of luck,
// worth a factor of 1.6 for large messages. So each repetition draws anew.
#pragma once

#include "throughput/compare.h"
#include "throughput/server_process.h"
#include "throughput/visits.h"

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tern::bench {

inline constexpr int server_core = 0;
inline constexpr int client_core = 1;
inline constexpr Seconds usual_warm_up{0.2};

/// Rows that a server cannot take part in.
struct Gap {
  std::string_view rows;  ///< those whose names start with this
  std::string_view reason;
};

struct Entrant {
  std::string name;
  std::vector<std::string> command;
  std::string_view rows{};  ///< takes part only in those whose names start with this
  std::span<const Gap> gaps{};
  bool may_fail = false;  ///< a row it fails in goes on without it, and says so
  bool echoes_content = true;
  Seconds warm_up = usual_warm_up;  ///< longer for who is slow at first
  std::string client{};  ///< what is compared, if not the server: the program that loads it
  int core = server_core;
};

/// What a row brought to an entrant.
struct Standing {
  const Entrant* entrant;
  Visits visits{};
  std::string left_out{};  ///< why; empty when it was not
};

class Field {
 public:
  Field(std::vector<Entrant> entrants, const CompareOptions& options);

  using Visiting = std::function<Visit(const Entrant&, const ServerProcess&)>;

  /// Visits all that take part in turn, as often as the options say; the standings in the order of
  /// the entrants.
  /// Throws what a visit throws, or the start of a server, unless it may fail.
  std::vector<Standing> run_row(const std::string& name, const Visiting& visit);

 private:
  void visit_one(std::size_t at, Standing& standing, const Visiting& visit);

  const CompareOptions& options_;
  std::vector<Entrant> entrants_;
};

/// Says on stdout that somebody is left out of a row, and why.
void print_left_out(const std::string& row, const Standing& standing, bool json);

}  // namespace tern::bench
