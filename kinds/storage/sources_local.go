package storage

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"

	"github.com/gatehouse/gatehouse/kinds/core"
	"github.com/gatehouse/gatehouse/rules"
)

// What a volume is made of, as far as it is a node's, a cluster's own or a driver's. The sources of single vendors are in sources_vendor.go.

func noBacksteps() rules.Rule {
	return rules.Format(func(s string) []string {
		if slices.Contains(strings.Split(s, "/"), "..") {
			return []string{"must not contain '..'"}
		}
		return nil
	})
}

func local() *rules.Set {
	return rules.Of[corev1.LocalVolumeSource](rules.At("path", rules.Required(), noBacksteps()))
}

func flexVolume() *rules.Set {
	return rules.Of[corev1.FlexPersistentVolumeSource](
		rules.At("driver", rules.Required()),
		rules.At("options", rules.EachKey(core.FlexOption())),
	)
}

func csiVolume() *rules.Set {
	secret := rules.Of[corev1.SecretReference](
		rules.At("name", rules.Required(), rules.Format(utilvalidation.IsDNS1123Subdomain)),
		rules.At("namespace", rules.Required(), rules.Format(utilvalidation.IsDNS1123Label)),
	)
	return rules.Of[corev1.CSIPersistentVolumeSource](
		rules.At("driver", driverName()...),
		rules.At("volumeHandle", rules.Required()),
		rules.At("controllerPublishSecretRef", secret),
		rules.At("controllerExpandSecretRef", secret),
		rules.At("nodePublishSecretRef", secret),
		rules.At("nodeExpandSecretRef", secret),
	)
}

func glusterfs() *rules.Set {
	return rules.Of[corev1.GlusterfsPersistentVolumeSource](
		rules.At("endpoints", rules.Required()),
		rules.At("path", rules.Required()),
		rules.At("endpointsNamespace", rules.Format(func(s string) []string {
			if s == "" {
				return []string{"if the endpointnamespace is set, it must be a valid namespace name"}
			}
			return validation.ValidateNamespaceName(s, false)
		})),
	)
}
