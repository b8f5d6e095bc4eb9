package core

import (
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

var (
	downwardFile        = sync.OnceValue(newDownwardFile)
	projectedKey        = sync.OnceValue(keyToPath)
	volumeResourceField = sync.OnceValue(func() *rules.Set {
		return rules.Of[corev1.ResourceFieldSelector](rules.At("", rules.Check(checkVolumeResourceField)))
	})
)

// Bounds of the life of a token in a volume, in seconds.
const (
	tokenLifetime    = 60 * 60
	minTokenLifetime = 10 * 60
	maxTokenLifetime = 1 << 32
)

// projected are the rules of a volume that joins several sources in one directory.
func projected() *rules.Set {
	return rules.Of[corev1.ProjectedVolumeSource](
		rules.At("defaultMode", rules.Default(corev1.ProjectedVolumeSourceDefaultMode), fileMode()),
		rules.At("sources", rules.Each(projection())),
	)
}

func projection() *rules.Set {
	return rules.Of[corev1.VolumeProjection](
		rules.At("secret.name", rules.Required()),
		rules.At("secret", rules.Check(func(c *rules.Checker, v, _ *corev1.SecretProjection) { checkKeys(c, v.Items, v.Name) })),
		rules.At("configMap.name", rules.Required()),
		rules.At("configMap", rules.Check(func(c *rules.Checker, v, _ *corev1.ConfigMapProjection) { checkKeys(c, v.Items, v.Name) })),
		rules.At("downwardAPI.items", rules.Fill(fillDownwardFiles)),
		rules.At("downwardAPI", rules.Check(func(c *rules.Checker, v, _ *corev1.DownwardAPIProjection) {
			for i := range v.Items {
				rules.In(c, downwardFile(), &v.Items[i], nil)
				takeFile(c, v.Items[i].Path, v.Items[i].Path)
			}
		})),
		rules.At("serviceAccountToken.expirationSeconds", rules.Default(tokenLifetime), rules.Check(checkTokenLifetime)),
		rules.At("serviceAccountToken.path", rules.Check(checkTokenPath)),
		rules.At("", rules.Check(func(c *rules.Checker, v, _ *corev1.VolumeProjection) {
			if count(v.Secret != nil, v.ConfigMap != nil, v.DownwardAPI != nil, v.ServiceAccountToken != nil, v.ClusterTrustBundle != nil,
				v.PodCertificate != nil) > 1 {
				c.Add(field.Forbidden(c.Path(), "may not specify more than 1 volume type per source"))
			}
		})),
	)
}

// files are the paths that sources of a projected volume write.
type files map[string]bool

// takeFile asks that no two sources write the same file. That is reported at the volume, with what is shown of the later source.
func takeFile(c *rules.Checker, path, shown string) {
	if path == "" {
		return
	}
	taken := *rules.Shared(c, func(_, _ *corev1.ProjectedVolumeSource) *files { return &files{} })
	if taken[path] {
		c.Add(field.Invalid(rules.Above[corev1.ProjectedVolumeSource](c), shown, "conflicting duplicate paths"))
	}
	taken[path] = true
}

func checkKeys(c *rules.Checker, items []corev1.KeyToPath, name string) {
	for i := range items {
		rules.InIndex(c, projectedKey(), &items[i], nil, i, "items")
		takeFile(c, items[i].Path, name)
	}
}

func checkTokenLifetime(c *rules.Checker, v, _ *int64) {
	if *v < minTokenLifetime {
		c.Add(field.Invalid(c.Path(), *v, "may not specify a duration less than 10 minutes"))
	}
	if *v > maxTokenLifetime {
		c.Add(field.Invalid(c.Path(), *v, "may not specify a duration larger than 2^32 seconds"))
	}
}

// checkTokenPath reports at the volume, as the reference does.
func checkTokenPath(c *rules.Checker, v, _ *string) {
	if *v == "" {
		c.Add(field.Required(rules.Above[corev1.ProjectedVolumeSource](c, "path"), ""))
		return
	}
	for _, m := range notLocal(*v) {
		if !factsOf(c).exempt(remoteTokenPath, hasRemoteTokenPath) {
			c.Add(field.Invalid(rules.Above[corev1.ProjectedVolumeSource](c, "path"), *v, m))
		}
	}
}

func hasRemoteTokenPath(spec *corev1.PodSpec) bool {
	for i := range spec.Volumes {
		if spec.Volumes[i].Projected == nil {
			continue
		}
		for _, s := range spec.Volumes[i].Projected.Sources {
			if s.ServiceAccountToken != nil && len(notLocal(s.ServiceAccountToken.Path)) > 0 {
				return true
			}
		}
	}
	return false
}
