// The judge checks the close in this order: the side that began, whether it was clean, its code,
// and whether the tester had to end TCP. The first wrong answer is the verdict. Where Autobahn
// accepts two event lists, this judge does as well; but the tests accept only OK.
#include "conformance/judge.h"

#include <algorithm>

namespace tern::conformance {
namespace {

bool is_clean(const Observed& observed, Role subject) {
  const bool both = observed.tester_closed && observed.subject_closed;
  const bool in_order = subject == Role::server ? !observed.gave_up : !observed.early_fin;
  return both && in_order && observed.end == Observed::End::fin;
}

CloseVerdict judge_close(const Ending& ending, const Observed& observed, Role subject) {
  const bool by_subject = ending.by == Ending::By::subject;
  if (by_subject != observed.subject_first) return CloseVerdict::failed;
  if (ending.clean && !is_clean(observed, subject)) return CloseVerdict::unclean;
  if (observed.code && std::ranges::find(ending.codes, *observed.code) == ending.codes.end()) {
    return CloseVerdict::wrong_code;
  }
  if (subject == Role::server && observed.gave_up) return CloseVerdict::failed_by_client;
  return CloseVerdict::ok;
}

}  // namespace

Judgement judge(const Case& each, const Script& script, const Observed& observed, Role subject) {
  Judgement result;
  result.close = judge_close(script.ending, observed, subject);
  Events expected;
  for (std::size_t round = 0; round < script.rounds; ++round) {
    expected.insert(expected.end(), script.expected.begin(), script.expected.end());
  }
  const bool fatal = !observed.fault.empty() ||
                     (script.ending.code_fatal && result.close == CloseVerdict::wrong_code) ||
                     (script.ending.side_fatal && observed.gave_up);
  if (each.informational && observed.fault.empty()) {
    result.verdict = Verdict::informational;
  } else if (fatal) {
    result.verdict = Verdict::failed;
  } else if (observed.events == expected) {
    result.verdict = Verdict::ok;
  } else if (script.non_strict && observed.events == *script.non_strict) {
    result.verdict = Verdict::non_strict;
  }
  return result;
}

std::string to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::ok:
      return "OK";
    case Verdict::non_strict:
      return "NON-STRICT";
    case Verdict::informational:
      return "INFORMATIONAL";
    case Verdict::failed:
      break;
  }
  return "FAILED";
}

std::string to_string(CloseVerdict verdict) {
  switch (verdict) {
    case CloseVerdict::ok:
      return "OK";
    case CloseVerdict::unclean:
      return "UNCLEAN";
    case CloseVerdict::wrong_code:
      return "WRONG-CODE";
    case CloseVerdict::failed_by_client:
      return "FAILED-BY-CLIENT";
    case CloseVerdict::failed:
      break;
  }
  return "FAILED";
}

}  // namespace tern::conformance
