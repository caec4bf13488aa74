// The two verdicts of a case: on the reply, and on the end of the connection.
#pragma once

#include "conformance/tester.h"

#include <string>

namespace tern::conformance {

enum class Verdict { ok, non_strict, failed, informational };
enum class CloseVerdict { ok, failed, unclean, wrong_code, failed_by_client };

struct Judgement {
  Verdict verdict = Verdict::failed;
  CloseVerdict close = CloseVerdict::failed;
};

Judgement judge(const Case& each, const Script& script, const Observed& observed, Role subject);

std::string to_string(Verdict verdict);
std::string to_string(CloseVerdict verdict);

}  // namespace tern::conformance
