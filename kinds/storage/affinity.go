package storage

import (
	corev1 "k8s.io/api/core/v1"
)

// stableLabel is the name that a label of nodes has had since it is no longer beta; empty for all others.
func stableLabel(beta string) string {
	switch beta {
	case corev1.LabelFailureDomainBetaZone:
		return corev1.LabelTopologyZone
	case corev1.LabelFailureDomainBetaRegion:
		return corev1.LabelTopologyRegion
	case "beta.kubernetes.io/os":
		return corev1.LabelOSStable
	case "beta.kubernetes.io/arch":
		return corev1.LabelArchStable
	case corev1.LabelInstanceType:
		return corev1.LabelInstanceTypeStable
	}
	return ""
}

// renamed is an affinity with those of its beta labels under their stable names that now has so in the same places. It returns was if there
// are none.
func renamed(was, now *corev1.VolumeNodeAffinity) *corev1.VolumeNodeAffinity {
	if was.Required == nil || now == nil || now.Required == nil || len(was.Required.NodeSelectorTerms) != len(now.Required.NodeSelectorTerms) {
		return was
	}
	result := was.DeepCopy()
	for i := range result.Required.NodeSelectorTerms {
		rename(result.Required.NodeSelectorTerms[i].MatchExpressions, now.Required.NodeSelectorTerms[i].MatchExpressions)
		rename(result.Required.NodeSelectorTerms[i].MatchFields, now.Required.NodeSelectorTerms[i].MatchFields)
	}
	return result
}

func rename(was, now []corev1.NodeSelectorRequirement) {
	if len(was) != len(now) {
		return
	}
	for i := range was {
		// A label that has none may so be renamed to nothing, which other rules refuse.
		if s := stableLabel(was[i].Key); s == now[i].Key {
			was[i].Key = s
		}
	}
}
