package diff

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// Verdict sums up one comparison. The zero value is no verdict.
type Verdict string

// The verdicts, from best to worst.
const (
	// Equal means that nothing differs.
	Equal Verdict = "equal"
	// Accepted means that each difference is one that docs/divergences.md accepts.
	Accepted Verdict = "accepted"
	// OrderOnly means that the same faults are told in another order.
	OrderOnly Verdict = "order only"
	// ManagedOnly means that only metadata.managedFields differ.
	ManagedOnly Verdict = "managed fields only"
	// Different means a fault that nobody has accepted.
	Different Verdict = "different"
)

// Verdicts returns all verdicts in the order of a report.
func Verdicts() []Verdict { return []Verdict{Equal, Accepted, OrderOnly, ManagedOnly, Different} }

func (f Finding) managed() bool { return strings.Contains(f.Place, ".managedFields") }

// judge finds the verdict for findings that are not accepted.
func judge(findings []Finding, kube, ours Answer) Verdict {
	switch {
	case len(findings) == 0:
		return Equal
	case sameFaults(findings, kube, ours):
		return OrderOnly
	case !slices.ContainsFunc(findings, func(f Finding) bool { return !f.managed() }):
		return ManagedOnly
	}
	return Different
}

// sameFaults is true when both answers are refusals that differ in the order of their causes and in the message that is
// made of these, and in nothing else.
func sameFaults(findings []Finding, kube, ours Answer) bool {
	for _, f := range findings {
		if f.Place != "body.message" && !strings.HasPrefix(f.Place, "body.details.causes") {
			return false
		}
	}
	l, lmessage := faults(kube)
	r, rmessage := faults(ours)
	return len(l) > 1 && lmessage == rmessage && slices.Equal(l, r)
}

// faults returns the causes of a refusal in alphabetical order, and what is left of its message without them.
func faults(a Answer) (causes []string, rest string) {
	status, _ := Normal(a.Object).(map[string]any)
	rest, _ = status["message"].(string)
	details, _ := status["details"].(map[string]any)
	list, _ := details["causes"].([]any)
	for _, element := range list {
		cause, _ := element.(map[string]any)
		causes = append(causes, fmt.Sprintf("%v: %v (%v)", cause["field"], cause["message"], cause["reason"]))
		rest = strings.Replace(rest, fmt.Sprintf("%v: %v", cause["field"], cause["message"]), "", 1)
	}
	slices.Sort(causes)
	return causes, rest
}

var (
	quoted   = regexp.MustCompile(`"(\\.|[^"\\])*"`)
	digits   = regexp.MustCompile(`\d+`)
	position = regexp.MustCompile(`\[\d+\]`)
)

// Signature is a finding without what belongs to one object, so that the same fault has the same signature everywhere.
func (f Finding) Signature() string {
	if f.managed() {
		return "body.metadata.managedFields"
	}
	place := position.ReplaceAllString(f.Place, "[*]")
	if f.Place == "status" || f.Place == "answer" {
		return fmt.Sprintf("%s: %s -> %s", place, general(f.Kube), general(f.Ours))
	}
	if strings.HasSuffix(place, "message") || strings.HasPrefix(place, "header Warning") || strings.Contains(place, "causes") {
		return fmt.Sprintf("%s: %s -> %s", place, general(f.Kube), general(f.Ours))
	}
	value := func(text string) string {
		return cmp.Or(shorten(text, 60), nothing)
	}
	return fmt.Sprintf("%s: %s -> %s", place, value(f.Kube), value(f.Ours))
}

// signatures are the signatures of a result's findings. Faults that only the reference finds, or only Gatehouse, have one
// signature for each field.
func (r Result) signatures() []string {
	var all []string
	for _, f := range r.Unaccepted {
		kube, ours := r.Kube, r.Ours
		switch {
		case f.Place != "status":
			all = append(all, f.Signature())
		case kube.Status == http.StatusUnprocessableEntity && ours.Status < http.StatusBadRequest:
			all = append(all, missed("not refused: ", kube)...)
		case ours.Status == http.StatusUnprocessableEntity && kube.Status < http.StatusBadRequest:
			all = append(all, missed("wrongly refused: ", ours)...)
		default:
			all = append(all, f.Signature())
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func missed(prefix string, refusal Answer) []string {
	causes, message := faults(refusal)
	if len(causes) == 0 {
		causes = []string{message}
	}
	for i, cause := range causes {
		causes[i] = prefix + general(cause)
	}
	return causes
}

func general(text string) string {
	if len(text) > 0 && text[0] == '"' {
		text = strings.Trim(strings.ReplaceAll(text, `\"`, `"`), `"`)
	}
	code, rest, _ := strings.Cut(text, " ")
	if len(code) != 3 || strings.Trim(code, "0123456789") != "" {
		code, rest = "", text
	}
	rest = digits.ReplaceAllString(quoted.ReplaceAllString(position.ReplaceAllString(rest, "[*]"), `"…"`), "N")
	return strings.TrimSpace(code + " " + shorten(rest, 180))
}
