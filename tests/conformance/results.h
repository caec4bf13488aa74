// results.txt contains the findings of the suite. It counts the cases that ended as their script
// expects, for each group, way and role, and has a line for each case that did not. It is
// committed, so that a change of behaviour is a change of this file.
#pragma once

#include "conformance/judge.h"

#include <string>
#include <string_view>
#include <vector>

namespace tern::conformance {

/// Whether a case ended as its script expects: both verdicts are OK, the Close frame has the last
/// of the codes that the script allows, and TCP ended by a FIN.
bool is_as_expected(const Script& script, const Observed& observed, Judgement judgement);

/// The line of one case, for example "7.3.1 engine server OK OK - fin".
std::string result_line(const Case& each, std::string_view way, Role subject,
                        const Observed& observed, Judgement judgement);

/// The committed lines of this way, role and group ("9"), in order: the count, then the exceptions.
std::vector<std::string> committed_lines(std::string_view way, Role subject,
                                         std::string_view group);

/// Runs a case against a subject of the role.
using Runner = std::function<Observed(const Case&, const Script&)>;

/// Runs each case of the group. Expects that both verdicts are OK where they are not informational,
/// and that the lines are the committed ones. Writes the lines to conformance/ of the build tree.
void expect_results(std::string_view way, Role subject, const std::string& group,
                    const Runner& runner);

}  // namespace tern::conformance
