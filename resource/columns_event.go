package resource

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// eventColumns serve both groups that events are in; those of events.k8s.io are printed in their core form.
func eventColumns() *columns {
	subobject := textColumn("Subobject", documented(corev1.ObjectReference{}, "fieldPath"))
	source := textColumn("Source", documented(corev1.Event{}, "source"))
	definitions := append(append([]Column{
		textColumn("Last Seen", documented(corev1.Event{}, "lastTimestamp")),
		textColumn("Type", documented(corev1.Event{}, "type")),
		textColumn("Reason", documented(corev1.Event{}, "reason")),
		textColumn("Object", documented(corev1.Event{}, "involvedObject")),
	}, wideColumns(subobject, source)...), textColumn("Message", documented(corev1.Event{}, "message")))
	return rowsOf(eventCells, append(definitions, wideColumns(
		textColumn("First Seen", documented(corev1.Event{}, "firstTimestamp")),
		textColumn("Count", documented(corev1.Event{}, "count")),
		nameColumn(),
	)...)...)
}

// eventCells reads both ways in which reporters fill an event: with times and a count, or with one time and a series.
func eventCells(e *corev1.Event) []any {
	first := age{t: e.FirstTimestamp.Time}
	if first.t.IsZero() {
		first.t = e.EventTime.Time
	}
	last, count := age{t: e.LastTimestamp.Time}, e.Count
	if last.t.IsZero() {
		last = first
	}
	if e.Series != nil {
		last.t, count = e.Series.LastObservedTime.Time, e.Series.Count
	} else if count == 0 {
		count = 1
	}
	object := strings.ToLower(e.InvolvedObject.Kind)
	if e.InvolvedObject.Name != "" {
		object += "/" + e.InvolvedObject.Name
	}
	source := orText(e.Source.Component, e.ReportingController)
	if host := orText(e.Source.Host, e.ReportingInstance); host != "" {
		source += ", " + host
	}
	return []any{
		last, e.Type, e.Reason, object, e.InvolvedObject.FieldPath, source, strings.TrimSpace(e.Message), first, count, e.Name,
	}
}
