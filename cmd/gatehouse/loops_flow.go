package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/resource"
)

// Who is said to write flow schemas and priority levels: the one who makes them, and the one who judges them.
const (
	flowProducer = "api-priority-and-fairness-config-producer-v1"
	flowConsumer = "api-priority-and-fairness-config-consumer-v1"
)

const (
	flowSchemaPlural = "flowschemas"
	flowLevelPlural  = "prioritylevelconfigurations"
)

// ensureFlow makes the flow schemas and priority levels of a new cluster and keeps them current, unless their annotation says that
// somebody else does. It also removes those of other releases that nobody has claimed.
func (p *parts) ensureFlow(ctx context.Context) error {
	c := cause{why: "default flow control", manager: flowProducer}
	levels, levelsByForce := flowLevels()
	schemas, schemasByForce := flowSchemas()
	err := errors.Join(
		p.ensureAll(ctx, c, objects(levels), reconcileFlow(false)), p.ensureAll(ctx, c, objects(levelsByForce), reconcileFlow(true)),
		p.ensureAll(ctx, c, objects(schemas), reconcileFlow(false)), p.ensureAll(ctx, c, objects(schemasByForce), reconcileFlow(true)),
	)
	if err != nil {
		return ignoreConflict(err)
	}
	return errors.Join(
		p.dropFlow(ctx, c, flowSchemaPlural, objects(cached[*flowcontrolv1.FlowSchema](p.resources, resourceOf(flowcontrolv1.GroupName, flowSchemaPlural))),
			objects(slices.Concat(schemas, schemasByForce))),
		p.dropFlow(ctx, c, flowLevelPlural, objects(cached[*flowcontrolv1.PriorityLevelConfiguration](p.resources, resourceOf(flowcontrolv1.GroupName, flowLevelPlural))),
			objects(slices.Concat(levels, levelsByForce))),
	)
}

func objects[T resource.Object](list []T) []resource.Object {
	var out []resource.Object
	for _, o := range list {
		out = append(out, o)
	}
	return out
}

// reconcileFlow brings an object up to what is wanted if it is the server's to keep: by force, or because its annotation says so, or,
// without one, because nobody has ever changed it. The annotation is set to what was found.
func reconcileFlow(force bool) reconcile {
	return func(existing, wanted resource.Object) (resource.Object, bool) {
		keep, known := autoUpdated(existing)
		current := known && keep
		if !known {
			keep = existing.GetGeneration() == 1
		}
		keep = keep || force
		changed := !known || current != keep
		if keep && takeSpec(existing, wanted) {
			changed = true
		}
		if changed {
			annotations := existing.GetAnnotations()
			if annotations == nil {
				annotations = map[string]string{}
			}
			annotations[flowcontrolv1.AutoUpdateAnnotationKey] = strconv.FormatBool(keep)
			existing.SetAnnotations(annotations)
		}
		return existing, changed
	}
}

// autoUpdated reads the annotation; known is false if there is none that can be read.
func autoUpdated(o resource.Object) (keep, known bool) {
	keep, err := strconv.ParseBool(o.GetAnnotations()[flowcontrolv1.AutoUpdateAnnotationKey])
	return keep, err == nil
}

// takeSpec replaces the spec by the wanted one and reports whether that made a difference. The shares of the exempt level are its
// users' to choose.
func takeSpec(existing, wanted resource.Object) bool {
	switch have := existing.(type) {
	case *flowcontrolv1.FlowSchema:
		want := wanted.(*flowcontrolv1.FlowSchema)
		if apiequality.Semantic.DeepEqual(have.Spec, want.Spec) {
			return false
		}
		have.Spec = *want.Spec.DeepCopy()
	case *flowcontrolv1.PriorityLevelConfiguration:
		want := wanted.(*flowcontrolv1.PriorityLevelConfiguration).DeepCopy()
		compared := want.DeepCopy()
		if want.Spec.Exempt != nil && have.Spec.Exempt != nil {
			compared.Spec.Exempt = have.Spec.Exempt
		}
		if apiequality.Semantic.DeepEqual(have.Spec, compared.Spec) {
			return false
		}
		have.Spec = want.Spec
	}
	return true
}

// dropFlow deletes what is marked as kept by the server and is none of what the server keeps.
func (p *parts) dropFlow(ctx context.Context, c cause, plural string, existing, wanted []resource.Object) error {
	var errs []error
	for _, o := range existing {
		named := func(w resource.Object) bool { return w.GetName() == o.GetName() }
		if keep, _ := autoUpdated(o); keep && !slices.ContainsFunc(wanted, named) {
			errs = append(errs, p.remove(ctx, c, objectOf(flowcontrolv1.GroupName, plural, o.GetName()), metav1.DeleteOptions{}))
		}
	}
	return errors.Join(errs...)
}

// judgeFlow writes into the status of each flow schema whether its priority level exists.
func (p *parts) judgeFlow(ctx context.Context) error {
	levels := map[string]bool{}
	for _, l := range cached[*flowcontrolv1.PriorityLevelConfiguration](p.resources, resourceOf(flowcontrolv1.GroupName, flowLevelPlural)) {
		levels[l.Name] = true
	}
	var errs []error
	for _, s := range cached[*flowcontrolv1.FlowSchema](p.resources, resourceOf(flowcontrolv1.GroupName, flowSchemaPlural)) {
		level := s.Spec.PriorityLevelConfiguration.Name
		condition, changed := dangling(s, !levels[level], time.Now())
		if !changed {
			continue
		}
		err := p.applyCondition(ctx, cause{why: "flow schema status", manager: flowConsumer},
			objectOf(flowcontrolv1.GroupName, flowSchemaPlural, s.Name), typeOf(flowcontrolv1.SchemeGroupVersion, "FlowSchema"), condition)
		if !api.IsReason(err, metav1.StatusReasonNotFound) { // One that is gone needs no status.
			errs = append(errs, ignoreConflict(err))
		}
	}
	return errors.Join(errs...)
}

// dangling is the condition that tells whether the priority level is missing, and whether it is news.
func dangling(s *flowcontrolv1.FlowSchema, missing bool, now time.Time) (want flowcontrolv1.FlowSchemaCondition, news bool) {
	level := s.Spec.PriorityLevelConfiguration.Name
	want = flowcontrolv1.FlowSchemaCondition{
		Type: flowcontrolv1.FlowSchemaConditionDangling, Status: flowcontrolv1.ConditionFalse, Reason: "Found",
		Message:            fmt.Sprintf("This FlowSchema references the PriorityLevelConfiguration object named %q and it exists", level),
		LastTransitionTime: metav1.NewTime(now),
	}
	if missing {
		want.Status, want.Reason = flowcontrolv1.ConditionTrue, "NotFound"
		want.Message = fmt.Sprintf("This FlowSchema references the PriorityLevelConfiguration object named %q but there is no such object", level)
	}
	i := slices.IndexFunc(s.Status.Conditions, func(c flowcontrolv1.FlowSchemaCondition) bool { return c.Type == want.Type })
	if i < 0 {
		return want, true
	}
	had := s.Status.Conditions[i]
	return want, had.Status != want.Status || had.Reason != want.Reason || had.Message != want.Message
}
