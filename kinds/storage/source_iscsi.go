package storage

import (
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

const (
	maxLUN           = 255
	maxInitiatorName = 64 // of the volume's name, a colon and the portal together, where the initiator is named
)

// The forms of names of iSCSI nodes. As in the reference, the first is not bound to the beginning of the name.
var (
	iqnForm = regexp.MustCompile(`iqn\.\d{4}-\d{2}\.([[:alnum:]-.]+)(:[^,;*&$|\s]+)$`)
	euiForm = regexp.MustCompile(`^eui.[[:alnum:]]{16}$`)
	naaForm = regexp.MustCompile(`^naa.[[:alnum:]]{32}$`)
)

func isInitiator(name string) bool {
	switch {
	case strings.HasPrefix(name, "iqn"):
		return iqnForm.MatchString(name)
	case strings.HasPrefix(name, "eui"):
		return euiForm.MatchString(name)
	case strings.HasPrefix(name, "naa"):
		return naaForm.MatchString(name)
	}
	return false
}

func iscsi() *rules.Set {
	return rules.Of[corev1.ISCSIPersistentVolumeSource](
		rules.At("targetPortal", rules.Required()),
		rules.At("", rules.Check(checkPortal)),
		rules.At("iqn", rules.Required(), rules.Format(func(s string) []string {
			if !isInitiator(s) {
				return []string{"must be valid format"}
			}
			return nil
		})),
		rules.At("lun", rules.Between(0, maxLUN)),
		rules.At("", rules.Check(func(c *rules.Checker, v, _ *corev1.ISCSIPersistentVolumeSource) {
			switch {
			case v.SecretRef != nil && v.SecretRef.Name == "":
				c.Add(field.Required(c.At("secretRef", "name"), ""))
			case v.SecretRef == nil && (v.DiscoveryCHAPAuth || v.SessionCHAPAuth):
				c.Add(field.Required(c.At("secretRef"), ""))
			}
			if v.InitiatorName != nil && !isInitiator(*v.InitiatorName) {
				c.Add(field.Invalid(c.At("initiatorname"), *v.InitiatorName, "must be valid format"))
			}
		})),
	)
}

func checkPortal(c *rules.Checker, v, _ *corev1.ISCSIPersistentVolumeSource) {
	name := ""
	if volume, _ := rules.Within[corev1.PersistentVolume](c); volume != nil {
		name = volume.Name
	}
	if v.InitiatorName != nil && len(name+":"+v.TargetPortal) > maxInitiatorName {
		c.Add(field.Invalid(c.At("targetportal"), v.TargetPortal,
			"Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified."))
	}
}
