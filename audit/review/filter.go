package review

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse/gatehouse/audit"
)

// Decision is how a request was judged.
type Decision string

// The decisions that a filter can ask for.
const (
	// Allow is an event that authorization allowed and that did not end in 401 or 403.
	Allow Decision = "allow"
	// Deny is an event that authorization forbade, or that ended in 401 or 403, for example by an admission policy.
	Deny Decision = "deny"
)

// AllStages as Filter.Stage matches events of every stage.
const AllStages audit.Stage = "all"

// Filter selects events. Fields that are zero do not restrict, with the exception of Stage.
type Filter struct {
	User      string // user name, or name of the user acted as
	Verb      string
	Resource  string // "pods", "pods/exec", "deployments.apps"; without a group, any group
	Namespace string
	Name      string
	AuditID   string
	// CodeMin and CodeMax bound the status code, both inclusive.
	CodeMin, CodeMax int
	Decision         Decision
	// Since (inclusive) and Until (exclusive) bound the time at which the request was received.
	Since, Until time.Time
	// Stage is the stage of the event. Empty matches the stages that end a request, ResponseComplete and Panic, so that each request
	// appears once.
	Stage audit.Stage
	// Limit ends the search after so many events, counted from the beginning of the log; 0 does not.
	Limit int
	// Tail keeps the last so many events, at most MaxTail; 0 keeps all. It excludes Limit.
	Tail int
}

// Bounds of ParseFilter.
const (
	MaxFilterTerms     = 32
	MaxFilterTermBytes = 4 << 10
)

// MaxTail bounds Filter.Tail: these events are held in memory, a few kilobytes each unless bodies are recorded.
const MaxTail = 10_000

// FilterKeys are the keys that ParseFilter knows.
func FilterKeys() []string {
	return []string{"user", "verb", "resource", "namespace", "name", "id", "code", "decision", "since", "until", "stage", "limit", "tail"}
}

// ParseFilter reads terms of the form key=value, each key once. The code is a number or a class such as 4xx, the
// decision allow or deny; since and until are RFC 3339 times or durations before now such as 90m, 24h or 7d.
func ParseFilter(terms []string, now time.Time) (Filter, error) {
	var f Filter
	if len(terms) > MaxFilterTerms {
		return f, fmt.Errorf("filter: %d terms, the limit is %d", len(terms), MaxFilterTerms)
	}
	var seen []string
	for _, term := range terms {
		key, value, ok := strings.Cut(term, "=")
		switch {
		case len(term) > MaxFilterTermBytes:
			return f, fmt.Errorf("filter: a term is longer than %d bytes", MaxFilterTermBytes)
		case !ok:
			return f, fmt.Errorf("filter: %q is not of the form key=value", term)
		case value == "":
			return f, fmt.Errorf("filter: %s has no value", key)
		case slices.Contains(seen, key):
			return f, fmt.Errorf("filter: %s is given twice", key)
		}
		seen = append(seen, key)
		if err := f.set(key, value, now); err != nil {
			return Filter{}, fmt.Errorf("filter: %s: %w", key, err)
		}
	}
	if f.Limit > 0 && f.Tail > 0 {
		return Filter{}, errors.New("filter: limit, the first events, and tail, the last, exclude each other")
	}
	if !f.Since.IsZero() && !f.Until.IsZero() && !f.Since.Before(f.Until) {
		return Filter{}, fmt.Errorf("filter: since (%s) is not before until (%s)", f.Since.Format(time.RFC3339), f.Until.Format(time.RFC3339))
	}
	return f, nil
}

func (f *Filter) set(key, value string, now time.Time) (err error) {
	switch key {
	case "user":
		f.User = value
	case "verb":
		f.Verb = value
	case "resource":
		f.Resource = value
	case "namespace":
		f.Namespace = value
	case "name":
		f.Name = value
	case "id":
		f.AuditID = value
	case "code":
		f.CodeMin, f.CodeMax, err = parseCode(value)
	case "decision":
		if f.Decision = Decision(value); f.Decision != Allow && f.Decision != Deny {
			return fmt.Errorf("%q is neither allow nor deny", value)
		}
	case "since":
		f.Since, err = parseTime(value, now)
	case "until":
		f.Until, err = parseTime(value, now)
	case "stage":
		f.Stage = audit.Stage(value)
		stages := []audit.Stage{audit.StageRequestReceived, audit.StageResponseStarted, audit.StageResponseComplete, audit.StagePanic, AllStages}
		if !slices.Contains(stages, f.Stage) {
			return fmt.Errorf("%q is none of %v", value, stages)
		}
	case "limit":
		if f.Limit, err = strconv.Atoi(value); err != nil || f.Limit < 1 {
			return fmt.Errorf("%q is not a positive number", value)
		}
	case "tail":
		if f.Tail, err = strconv.Atoi(value); err != nil || f.Tail < 1 || f.Tail > MaxTail {
			return fmt.Errorf("%q is not a number from 1 to %d", value, MaxTail)
		}
	default:
		return fmt.Errorf("unknown key, the keys are %s", strings.Join(FilterKeys(), ", "))
	}
	return err
}

// parseCode reads a status code of three digits or a class such as 4xx.
func parseCode(value string) (low, high int, err error) {
	if len(value) == 3 && value[0] >= '1' && value[0] <= '5' {
		if value[1:] == "xx" {
			low = int(value[0]-'0') * 100
			return low, low + 99, nil
		}
		if n, err := strconv.Atoi(value); err == nil && n >= 100 {
			return n, n, nil
		}
	}
	return 0, 0, fmt.Errorf("%q is neither a status code nor a class such as 4xx", value)
}

// maxAgo bounds durations, so that now minus the duration is a time that can be written.
const maxAgo = 100 * 365 * 24 * time.Hour

func parseTime(value string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339Nano, value); err == nil {
		return t, nil
	}
	ago, err := time.ParseDuration(value)
	if days, ok := strings.CutSuffix(value, "d"); ok {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 16)
		ago = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || ago < 0 || ago > maxAgo {
		return time.Time{}, fmt.Errorf("%q is neither an RFC 3339 time nor a duration such as 90m, 24h or 7d", value)
	}
	return now.Add(-ago), nil
}

// Match reports whether the filter selects the event.
func (f *Filter) Match(e *audit.Event) bool {
	return f.matchStage(e) && f.matchUser(e) && (f.Verb == "" || f.Verb == e.Verb) && (f.AuditID == "" || f.AuditID == e.AuditID) &&
		f.matchObject(e) && f.matchCode(e) && f.matchTime(e) && (f.Decision == "" || f.Decision == decisionOf(e))
}

func (f *Filter) matchStage(e *audit.Event) bool {
	switch f.Stage {
	case AllStages:
		return true
	case "":
		return e.Stage == audit.StageResponseComplete || e.Stage == audit.StagePanic
	}
	return f.Stage == e.Stage
}

func (f *Filter) matchUser(e *audit.Event) bool {
	return f.User == "" || f.User == e.User.Username || e.ImpersonatedUser != nil && f.User == e.ImpersonatedUser.Username
}

func (f *Filter) matchObject(e *audit.Event) bool {
	if f.Resource == "" && f.Namespace == "" && f.Name == "" {
		return true
	}
	o := e.ObjectRef
	return o != nil && (f.Namespace == "" || f.Namespace == o.Namespace) && (f.Name == "" || f.Name == o.Name) &&
		(f.Resource == "" || f.matchResource(o))
}

// matchResource reads the resource as RESOURCE[.GROUP][/SUBRESOURCE]. Without a subresource it matches the resource alone.
func (f *Filter) matchResource(o *audit.ObjectReference) bool {
	resource, sub, _ := strings.Cut(f.Resource, "/")
	resource, group, hasGroup := strings.Cut(resource, ".")
	return resource == o.Resource && sub == o.Subresource && (!hasGroup || group == o.APIGroup)
}

func (f *Filter) matchCode(e *audit.Event) bool {
	if f.CodeMin == 0 && f.CodeMax == 0 {
		return true
	}
	code := codeOf(e)
	return code >= f.CodeMin && code <= f.CodeMax
}

func (f *Filter) matchTime(e *audit.Event) bool {
	at := e.RequestReceivedTimestamp.Time
	return (f.Since.IsZero() || !at.Before(f.Since)) && (f.Until.IsZero() || at.Before(f.Until))
}

func codeOf(e *audit.Event) int {
	if e.ResponseStatus == nil {
		return 0
	}
	return int(e.ResponseStatus.Code)
}

// decisionOf is empty for an event that tells nothing about authorization.
func decisionOf(e *audit.Event) Decision {
	code, noted := codeOf(e), e.Annotations[audit.AnnotationDecision]
	switch {
	case noted == "forbid" || code == 401 || code == 403:
		return Deny
	case noted == "allow":
		return Allow
	}
	return ""
}

// needles are byte strings that every line which the filter selects contains. Decoding is most of the cost of a query, and
// most lines do not have to be decoded to know that they do not match.
func (f *Filter) needles() [][]byte {
	var needles [][]byte
	for _, value := range []string{f.User, f.Verb, f.Namespace, f.Name, f.AuditID} {
		if value != "" && verbatim(value) {
			needles = append(needles, []byte(`"`+value+`"`))
		}
	}
	return needles
}

// verbatim reports whether every JSON encoder that writes audit logs leaves the text as it is.
func verbatim(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r < 0x20 || r > 0x7e || strings.ContainsRune("\"\\/<>&'", r)
	})
}

func containsAll(line []byte, needles [][]byte) bool {
	for _, n := range needles {
		if !bytes.Contains(line, n) {
			return false
		}
	}
	return true
}
