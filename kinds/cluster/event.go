package cluster

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// Both groups of events store the same objects, and errors name the stored fields: what a client of events.k8s.io wrote as
// "regarding" is "involvedObject" in an answer.

// Event are the rules of events as the core group has them. They are few, as old clients write events.
func Event() *rules.Kind {
	return rules.For(rules.Spec[corev1.Event]{Fields: []rules.Entry{rules.At("", rules.Check(func(c *rules.Checker, e, _ *corev1.Event) {
		checkEvent(c, occurrence{
			at: e.EventTime, namespace: e.Namespace, about: e.InvolvedObject.Namespace, controller: e.ReportingController,
			instance: e.ReportingInstance, action: e.Action, reason: e.Reason, message: e.Message,
		}, "reportingComponent")
	}))}})
}

// NewEvent are the rules of events as the group events.k8s.io has them.
func NewEvent() *rules.Kind {
	return rules.For(rules.Spec[eventsv1.Event]{Fields: []rules.Entry{
		rules.At("", rules.Check(func(c *rules.Checker, e, old *eventsv1.Event) {
			checkEvent(c, occurrence{
				at: e.EventTime, namespace: e.Namespace, about: e.Regarding.Namespace, controller: e.ReportingController,
				instance: e.ReportingInstance, action: e.Action, reason: e.Reason, message: e.Note,
			}, "reportingController")
			if old == nil {
				checkNewEvent(c, e)
			} else {
				checkEventChange(c, e, old)
			}
		})),
	}})
}

// Bounds of the texts of an event, in bytes.
const (
	maxEventWord = 128
	maxEventNote = 1024
)

// occurrence is what both kinds of events say.
type occurrence struct {
	at                                                              metav1.MicroTime
	namespace, about, controller, instance, action, reason, message string
}

func checkEvent(c *rules.Checker, o occurrence, controllerField string) {
	if o.at.IsZero() {
		if o.about != o.namespace && (o.about != "" || o.namespace != metav1.NamespaceDefault) {
			c.Add(field.Invalid(c.At("involvedObject", "namespace"), o.about, "does not match event.namespace"))
		}
	} else {
		checkTimedEvent(c, o, controllerField)
	}
	for _, m := range validation.IsDNS1123Subdomain(o.namespace) {
		c.Add(field.Invalid(c.At("namespace"), o.namespace, m))
	}
}

// checkTimedEvent checks an event that says when it happened, which only new clients write.
func checkTimedEvent(c *rules.Checker, o occurrence, controllerField string) {
	if o.about == "" && o.namespace != metav1.NamespaceDefault && o.namespace != metav1.NamespaceSystem {
		c.Add(field.Invalid(c.At("involvedObject", "namespace"), o.about, "does not match event.namespace"))
	}
	if o.controller == "" {
		c.Add(field.Required(c.At(controllerField), ""))
	}
	for _, m := range validation.IsQualifiedName(o.controller) {
		c.Add(field.Invalid(c.At(controllerField), o.controller, m))
	}
	word := func(name, s string, required bool, most int) {
		if required && s == "" {
			c.Add(field.Required(c.At(name), ""))
		}
		if len(s) > most {
			c.Add(field.Invalid(c.At(name), "", fmt.Sprintf("can have at most %v characters", most)))
		}
	}
	word("reportingInstance", o.instance, true, maxEventWord)
	word("action", o.action, true, maxEventWord)
	word("reason", o.reason, true, maxEventWord)
	word("message", o.message, false, maxEventNote)
}

// checkNewEvent checks what is created through events.k8s.io: complete, and without the fields that it calls deprecated.
func checkNewEvent(c *rules.Checker, e *eventsv1.Event) {
	c.Add(apivalidation.ValidateObjectMetaAccessor(e, true, apivalidation.NameIsDNSSubdomain, c.At("metadata"))...)
	for i, f := range e.Finalizers {
		checkStandardFinalizer(c, f, func() *field.Path { return c.At("metadata", "finalizers").Index(i) })
	}
	checkSeries(c, e.Series)
	if e.EventTime.IsZero() {
		c.Add(field.Required(c.At("eventTime"), ""))
	}
	if e.Type != corev1.EventTypeNormal && e.Type != corev1.EventTypeWarning {
		c.Add(field.Invalid(c.At("type"), "", fmt.Sprintf("has invalid value: %v", e.Type)))
	}
	unset := func(name string, set bool) {
		if set {
			c.Add(field.Invalid(c.At(name), "", "needs to be unset"))
		}
	}
	unset("firstTimestamp", !e.DeprecatedFirstTimestamp.IsZero())
	unset("lastTimestamp", !e.DeprecatedLastTimestamp.IsZero())
	unset("count", e.DeprecatedCount != 0)
	unset("source", e.DeprecatedSource != corev1.EventSource{})
}

func checkSeries(c *rules.Checker, s *eventsv1.EventSeries) {
	if s == nil {
		return
	}
	if s.Count < 2 {
		c.Add(field.Invalid(field.NewPath("series.count"), "", "should be at least 2"))
	}
	if s.LastObservedTime.IsZero() {
		c.Add(field.Required(field.NewPath("series.lastObservedTime"), ""))
	}
}

// checkEventChange lets an update change the series and metadata only.
func checkEventChange(c *rules.Checker, e, old *eventsv1.Event) {
	c.Add(apivalidation.ValidateObjectMetaAccessorUpdate(e, old, c.At("metadata"))...)
	for i, f := range e.Finalizers {
		checkStandardFinalizer(c, f, func() *field.Path { return c.At("metadata", "finalizers").Index(i) })
	}
	if !apiequality.Semantic.DeepEqual(e.Series, old.Series) {
		checkSeries(c, e.Series)
	}
	fixed := func(name string, now, before any) {
		if !apiequality.Semantic.DeepEqual(now, before) {
			c.Add(field.Invalid(c.At(name), rules.Shown(now), "field is immutable"))
		}
	}
	fixed("involvedObject", e.Regarding, old.Regarding)
	fixed("reason", e.Reason, old.Reason)
	fixed("message", e.Note, old.Note)
	fixed("source", e.DeprecatedSource, old.DeprecatedSource)
	fixed("firstTimestamp", e.DeprecatedFirstTimestamp, old.DeprecatedFirstTimestamp)
	fixed("lastTimestamp", e.DeprecatedLastTimestamp, old.DeprecatedLastTimestamp)
	fixed("count", e.DeprecatedCount, old.DeprecatedCount)
	fixed("reason", e.Reason, old.Reason)
	fixed("type", e.Type, old.Type)
	if !e.EventTime.Truncate(time.Microsecond).Equal(old.EventTime.Truncate(time.Microsecond)) {
		fixed("eventTime", e.EventTime, old.EventTime)
	}
	fixed("action", e.Action, old.Action)
	fixed("related", e.Related, old.Related)
	fixed("reportingController", e.ReportingController, old.ReportingController)
	fixed("reportingInstance", e.ReportingInstance, old.ReportingInstance)
}

// checkStandardFinalizer asks for a domain in names that the reference does not know.
func checkStandardFinalizer(c *rules.Checker, name string, path func() *field.Path) {
	switch name {
	case string(corev1.FinalizerKubernetes), metav1.FinalizerOrphanDependents, metav1.FinalizerDeleteDependents:
	default:
		if !strings.Contains(name, "/") {
			c.Add(field.Invalid(path(), name, "name is neither a standard finalizer name nor is it fully qualified"))
		}
	}
}
