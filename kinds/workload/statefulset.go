package workload

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// StatefulSet are the rules of apps/v1 StatefulSets. Their names become parts of host names, so they are DNS labels, which is for
// whoever creates one to ask for.
func StatefulSet() *rules.Kind {
	return rules.For(rules.Spec[appsv1.StatefulSet]{
		Create: func(s *appsv1.StatefulSet) {
			dropMaxUnavailable(s, nil)
			dropGated(&s.Spec.Template, nil)
		},
		Update: func(s, old *appsv1.StatefulSet) {
			dropMaxUnavailable(s, old)
			dropGated(&s.Spec.Template, &old.Spec.Template)
		},
		Fields: []rules.Entry{
			rules.At("spec.podManagementPolicy", rules.Default(appsv1.OrderedReadyPodManagement)),
			rules.At("spec.updateStrategy", rules.Fill(defaultStatefulStrategy)),
			rules.At("spec", rules.Fill(defaultClaimRetention)),
			rules.At("spec.replicas", rules.Default(1)),
			rules.At("spec.revisionHistoryLimit", rules.Default(10)),
			rules.At("spec.template", rules.Fill(defaultTemplate)),
			rules.At("spec.volumeClaimTemplates", rules.Fill(defaultClaims)),

			rules.At("spec.podManagementPolicy", rules.Check(checkManagement)),
			rules.At("spec.updateStrategy", rules.Check(checkStatefulStrategy)),
			rules.At("spec.persistentVolumeClaimRetentionPolicy.whenDeleted", retention()),
			rules.At("spec.persistentVolumeClaimRetentionPolicy.whenScaled", retention()),
			rules.At("spec.volumeClaimTemplates", rules.Check(checkClaims)),
			rules.At("spec.replicas", rules.NonNegative()),
			rules.At("spec.minReadySeconds", rules.NonNegative()),
			rules.At("spec.ordinals.start", rules.NonNegative()),
			rules.At("spec.serviceName", rules.Check(checkServiceName)),
			rules.At("spec", rules.Check(checkStatefulTemplate), rules.Check(checkStatefulEnd), rules.Check(checkStatefulChange)),
			rules.At("", warnOfTemplate(func(s *appsv1.StatefulSet) *podTemplate { return &s.Spec.Template }, "spec", "template")),
			rules.At("spec", rules.Check(warnOfClaims)),
		},
		Parts: map[string]rules.Part[appsv1.StatefulSet]{"status": {Fields: statefulStatus()}},
	})
}

func statefulStatus() []rules.Entry {
	return []rules.Entry{
		rules.At("status.replicas", rules.NonNegative()),
		rules.At("status.readyReplicas", rules.NonNegative()),
		rules.At("status.currentReplicas", rules.NonNegative()),
		rules.At("status.updatedReplicas", rules.NonNegative()),
		rules.At("status.availableReplicas", rules.NonNegative()),
		rules.At("status.observedGeneration", rules.NonNegative()),
		rules.At("status.collisionCount", rules.NonNegative()),
		rules.At("status", rules.Check(func(c *rules.Checker, s, _ *appsv1.StatefulSetStatus) {
			checkParts(c, atMost{"readyReplicas", s.ReadyReplicas, s.Replicas, moreThanReplicas},
				atMost{"currentReplicas", s.CurrentReplicas, s.Replicas, moreThanReplicas},
				atMost{"updatedReplicas", s.UpdatedReplicas, s.Replicas, moreThanReplicas},
				atMost{"availableReplicas", s.AvailableReplicas, s.Replicas, moreThanReplicas},
				atMost{"availableReplicas", s.AvailableReplicas, s.ReadyReplicas, "cannot be greater than status.readyReplicas"})
		})),
		rules.At("status.collisionCount", rules.Check(neverLess)),
	}
}

func retention() rules.Rule {
	return rules.Enum(appsv1.RetainPersistentVolumeClaimRetentionPolicyType, appsv1.DeletePersistentVolumeClaimRetentionPolicyType)
}

// dropMaxUnavailable removes a field that the reference has switched off, unless the stored object uses it.
func dropMaxUnavailable(s, old *appsv1.StatefulSet) {
	if old != nil && old.Spec.UpdateStrategy.RollingUpdate != nil && old.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable != nil {
		return
	}
	if r := s.Spec.UpdateStrategy.RollingUpdate; r != nil {
		r.MaxUnavailable = nil
	}
}

func defaultStatefulStrategy(s *appsv1.StatefulSetUpdateStrategy) {
	if s.Type == "" {
		s.Type = appsv1.RollingUpdateStatefulSetStrategyType
		if s.RollingUpdate == nil {
			s.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{}
		}
	}
	if s.Type == appsv1.RollingUpdateStatefulSetStrategyType && s.RollingUpdate != nil && s.RollingUpdate.Partition == nil {
		s.RollingUpdate.Partition = new(int32)
	}
}

func defaultClaimRetention(s *appsv1.StatefulSetSpec) {
	if s.PersistentVolumeClaimRetentionPolicy == nil {
		s.PersistentVolumeClaimRetentionPolicy = &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{}
	}
	p := s.PersistentVolumeClaimRetentionPolicy
	for _, when := range []*appsv1.PersistentVolumeClaimRetentionPolicyType{&p.WhenDeleted, &p.WhenScaled} {
		if *when == "" {
			*when = appsv1.RetainPersistentVolumeClaimRetentionPolicyType
		}
	}
}

func checkManagement(c *rules.Checker, p, _ *appsv1.PodManagementPolicyType) {
	if *p != appsv1.OrderedReadyPodManagement && *p != appsv1.ParallelPodManagement {
		c.Add(field.Invalid(c.Path(), *p, "must be 'OrderedReady' or 'Parallel'"))
	}
}

func checkStatefulStrategy(c *rules.Checker, s, _ *appsv1.StatefulSetUpdateStrategy) {
	switch s.Type {
	case appsv1.OnDeleteStatefulSetStrategyType:
		if s.RollingUpdate != nil {
			c.Add(field.Invalid(c.At("rollingUpdate"), rules.Shown(shownRolling(s.RollingUpdate)), "only allowed for updateStrategy 'RollingUpdate'"))
		}
	case appsv1.RollingUpdateStatefulSetStrategyType:
		if s.RollingUpdate != nil {
			checkRollingStateful(c, s.RollingUpdate)
		}
	default:
		shown := appsv1.StatefulSetUpdateStrategy{Type: s.Type, RollingUpdate: shownRolling(s.RollingUpdate)}
		c.Add(field.Invalid(c.Path(), rules.Shown(shown), "must be 'RollingUpdate' or 'OnDelete'"))
	}
}

// shownRolling is a copy that messages show: the reference knows no partition that is not set.
func shownRolling(r *appsv1.RollingUpdateStatefulSetStrategy) *appsv1.RollingUpdateStatefulSetStrategy {
	r = r.DeepCopy()
	if r != nil && r.Partition == nil {
		r.Partition = new(int32)
	}
	return r
}

func checkRollingStateful(c *rules.Checker, r *appsv1.RollingUpdateStatefulSetStrategy) {
	if r.Partition != nil && *r.Partition < 0 {
		c.Add(field.Invalid(c.At("rollingUpdate", "partition"), *r.Partition, "must be greater than or equal to 0"))
	}
	if r.MaxUnavailable == nil {
		return
	}
	checkCount(c, r.MaxUnavailable, "rollingUpdate", "maxUnavailable")
	if countOf(r.MaxUnavailable) == 0 {
		c.Add(field.Invalid(c.At("rollingUpdate", "maxUnavailable"), *r.MaxUnavailable, "cannot be 0"))
	}
	checkNotMoreThanAll(c, r.MaxUnavailable, "rollingUpdate", "maxUnavailable")
}

// checkServiceName looks at new objects only: the name never changes, and older ones were not checked.
func checkServiceName(c *rules.Checker, name, _ *string) {
	if c.Updating() || *name == "" {
		return
	}
	for _, m := range utilvalidation.IsDNS1123Label(*name) {
		c.Add(field.Invalid(c.Path(), *name, m))
	}
}

// checkStatefulEnd says again for the object what checkStatefulTemplate could not, where the selector was wrong.
func checkStatefulEnd(c *rules.Checker, s, _ *appsv1.StatefulSetSpec) {
	runsForever(c, &s.Template, "StatefulSet")
}

func checkStatefulChange(c *rules.Checker, s, old *appsv1.StatefulSetSpec) {
	if old == nil {
		return
	}
	rest := *s
	rest.Replicas, rest.Template, rest.UpdateStrategy = old.Replicas, old.Template, old.UpdateStrategy
	rest.MinReadySeconds, rest.Ordinals, rest.RevisionHistoryLimit = old.MinReadySeconds, old.Ordinals, old.RevisionHistoryLimit
	rest.PersistentVolumeClaimRetentionPolicy = old.PersistentVolumeClaimRetentionPolicy
	if !apiequality.Semantic.DeepEqual(&rest, old) {
		c.Add(field.Forbidden(c.Path(), "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "+
			"'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"))
	}
}

// warnOfClaims tells of sizes in fractions of a byte and of histories without end. On update the reference spells the path with a
// capital letter.
func warnOfClaims(c *rules.Checker, s, _ *appsv1.StatefulSetSpec) {
	for i := range s.VolumeClaimTemplates {
		at := c.At("volumeClaimTemplates").Index(i)
		if c.Updating() {
			at = at.Child("Spec")
		}
		resources := s.VolumeClaimTemplates[i].Spec.Resources
		for _, of := range []struct {
			name string
			list corev1.ResourceList
		}{{"requests", resources.Requests}, {"limits", resources.Limits}} {
			if q, ok := of.list[corev1.ResourceStorage]; ok && q.MilliValue()%1000 != 0 {
				c.Warn(fmt.Sprintf("%s: fractional byte value %q is invalid, must be an integer",
					at.Child("resources", of.name).Key(string(corev1.ResourceStorage)), q.String()))
			}
		}
	}
	if s.RevisionHistoryLimit != nil && *s.RevisionHistoryLimit < 0 {
		c.Warn("spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended")
	}
}
