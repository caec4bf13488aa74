// results.txt: what the suite found, a line for each case, way and role. Committed, so that a
// change of behaviour is a change of this file.
#pragma once

#include "conformance/judge.h"

#include <string>
#include <string_view>
#include <vector>

namespace tern::conformance {

/// "1.1.1 engine server OK OK 1000 fin".
std::string result_line(const Case& each, std::string_view way, Role subject,
                        const Observed& observed, Judgement judgement);

/// The committed lines of this way, role and group ("9"), in order.
std::vector<std::string> committed_lines(std::string_view way, Role subject,
                                         std::string_view group);

/// What runs a case against a subject of the role.
using Runner = std::function<Observed(const Case&, const Script&)>;

/// Runs each case of the group, expects OK for both verdicts where they are not informational, and
/// the committed lines; writes what it found to conformance/ of the build tree.
void expect_results(std::string_view way, Role subject, const std::string& group,
                    const Runner& runner);

}  // namespace tern::conformance
