// Visits the servers or the clients of a comparison in turns. Each visit has a new process and new
// connections, because the position of their memory, and of the kernel's memory, in the caches is
// random. For large messages this position changes the result by a factor of up to 1.6. So each
// repetition must have a new one.
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
  std::string_view rows;  ///< rows whose names start with this
  std::string_view reason;
};

struct Entrant {
  std::string name;
  std::vector<std::string> command;
  std::string_view rows{};  ///< takes part only in rows whose names start with this
  std::span<const Gap> gaps{};
  /// If it fails in a row, the row continues without it and prints the reason.
  bool may_fail = false;
  bool echoes_content = true;
  Seconds warm_up = usual_warm_up;  ///< longer for a program that is slow at first
  std::string client{};             ///< the program that loads the server, if clients are compared
  int core = server_core;
};

/// The result of an entrant in a row.
struct Standing {
  const Entrant* entrant;
  Visits visits{};
  std::string left_out{};  ///< the reason if it was left out, else empty
};

class Contest {
 public:
  Contest(std::vector<Entrant> entrants, const CompareOptions& options);

  using Visiting = std::function<Visit(const Entrant&, const ServerProcess&)>;

  /// Visits all that take part in turn, once for each repetition. Returns the standings in the
  /// order of the entrants. Throws the errors of `visit` and of ServerProcess, unless the entrant
  /// may fail.
  std::vector<Standing> run_row(const std::string& name, const Visiting& visit);

 private:
  void visit_one(std::size_t at, Standing& standing, const Visiting& visit);

  const CompareOptions& options_;
  std::vector<Entrant> entrants_;
};

/// Prints that an entrant is left out of a row, and the reason.
void print_left_out(const std::string& row, const Standing& standing, bool json);

}  // namespace tern::bench
