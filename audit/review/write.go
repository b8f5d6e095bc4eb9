package review

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gatehouse/gatehouse/audit"
)

// Summary writes what a person wants to know of a verification: every problem on a line of its own, then what was checked.
func (r *Report) Summary(w io.Writer) error {
	var b strings.Builder
	for _, p := range r.Problems {
		fmt.Fprintln(&b, p)
	}
	if more := r.Found - len(r.Problems); more > 0 {
		fmt.Fprintf(&b, "and %d more problems\n", more)
	}
	fmt.Fprintf(&b, "%d records in %d files", r.Records, len(r.Files))
	if r.Records > 0 {
		fmt.Fprintf(&b, ", numbers %d to %d, from %s to %s", r.First, r.Last, r.From.Format(time.RFC3339), r.To.Format(time.RFC3339))
	}
	b.WriteByte('\n')
	if r.RemovedThrough > 0 {
		fmt.Fprintf(&b, "records up to %d were removed by retention\n", r.RemovedThrough)
	}
	if cp := r.Checkpoint; cp != nil {
		fmt.Fprintf(&b, "checkpoint of %s, signed by %s, covers record %d; %d records follow it\n",
			cp.Time.Format(time.RFC3339), Escape(cp.Origin), cp.Seq, r.Unsigned)
	}
	if r.OwnKey {
		b.WriteString("the signature was checked with the key beside the log; give a key from a trusted place to rule out that both were exchanged\n")
	}
	if r.TornBytes > 0 {
		fmt.Fprintf(&b, "the last line is not complete (%d bytes): it is being written, or was when the server died\n", r.TornBytes)
	}
	if r.OK() {
		b.WriteString("the log is whole\n")
	} else {
		fmt.Fprintf(&b, "the log is NOT whole: %d problems\n", r.Found)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Table writes events as a table for people, one line each as they come; nothing in an event can act on the terminal.
type Table struct {
	w      io.Writer
	headed bool
}

// NewTable writes to w. The header precedes the first event.
func NewTable(w io.Writer) *Table { return &Table{w: w} }

// Write adds a row. Columns that are too narrow for a value are exceeded, never cut.
func (t *Table) Write(f Found) error {
	if !t.headed {
		t.headed = true
		if err := t.row("TIME", "USER", "VERB", "TARGET", "CODE", "DECISION", "REASON"); err != nil {
			return err
		}
	}
	e := &f.Event
	code := "-"
	if n := codeOf(e); n != 0 {
		code = fmt.Sprint(n)
	}
	return t.row(e.RequestReceivedTimestamp.UTC().Format(time.RFC3339), userOf(e), e.Verb, targetOf(e), code, string(decisionOf(e)), reasonOf(e))
}

func (t *Table) row(columns ...string) error {
	widths := []int{20, 28, 10, 44, 4, 8, 0}
	var b strings.Builder
	for i, c := range columns {
		if c = Escape(c); c == "" {
			c = "-"
		}
		b.WriteString(c)
		if i < len(columns)-1 {
			b.WriteString(strings.Repeat(" ", max(widths[i]-utf8.RuneCountInString(c), 0)+2))
		}
	}
	b.WriteByte('\n')
	_, err := io.WriteString(t.w, b.String())
	return err
}

func userOf(e *audit.Event) string {
	if e.ImpersonatedUser != nil {
		return e.User.Username + " as " + e.ImpersonatedUser.Username
	}
	return e.User.Username
}

// targetOf is [NAMESPACE/]RESOURCE[.GROUP][/NAME][ SUBRESOURCE], or the path of a request that is not for a resource.
func targetOf(e *audit.Event) string {
	o := e.ObjectRef
	if o == nil {
		if kind := e.Annotations[audit.AnnotationNotice]; kind != "" {
			return "audit log: " + kind
		}
		return e.RequestURI
	}
	target := o.Resource
	if o.APIGroup != "" {
		target += "." + o.APIGroup
	}
	if o.Name != "" {
		target += "/" + o.Name
	}
	if o.Subresource != "" {
		target += " " + o.Subresource
	}
	if o.Namespace != "" {
		target = o.Namespace + "/" + target
	}
	return target
}

// reasonOf is what the client was told if it was refused, otherwise why authorization decided as it did.
func reasonOf(e *audit.Event) string {
	if e.Stage == audit.StagePanic {
		return "panic"
	}
	if outcome := e.Annotations[audit.AnnotationOutcome]; outcome != "" {
		return "outcome " + outcome
	}
	if n := e.Annotations[audit.AnnotationSummarised]; n != "" {
		return n + " refusals, the last: " + messageOf(e)
	}
	return messageOf(e)
}

func messageOf(e *audit.Event) string {
	if s := e.ResponseStatus; s != nil && s.Code >= 400 && s.Message != "" {
		return s.Message
	}
	return e.Annotations[audit.AnnotationReason]
}

// JSON writes events as lines of JSON, as they stand in the log except that characters on which a terminal would act are
// escaped. For that reason, and because it is a selection, its output cannot be verified.
type JSON struct{ w io.Writer }

// NewJSON writes to w.
func NewJSON(w io.Writer) *JSON { return &JSON{w: w} }

// Write adds a line.
func (j *JSON) Write(f Found) error {
	_, err := fmt.Fprintf(j.w, "%s\n", escapeJSON(f.Raw))
	return err
}
