# METADATA
# title: No external IPs
# description: |
#   Refuses new entries in a Service's externalIPs, with which whoever may write Services takes over traffic to any address
#   (CVE-2020-8554), and new load balancer addresses in its status by anybody but the parameters statusUsers and
#   statusGroups.
# custom:
#   type: validate
#   action: deny
#   match:
#     groups: [""]
#     kinds: [Service]
#   parameters:
#     statusUsers: ["system:cloud-controller-manager"]
#     statusGroups: ["system:masters", "system:serviceaccounts:kube-system"]
package gatehouse.policy.no_external_ips

old(path) := object.get(input.oldObject, path, []) if input.oldObject != null

else := []

deny contains {"msg": sprintf("external IP %q is not allowed", [ip]), "field": sprintf("spec.externalIPs[%d]", [i])} if {
	some i, ip in input.object.spec.externalIPs
	not ip in old(["spec", "externalIPs"])
}

deny contains {"msg": "only the load balancer's controller may set its addresses", "field": sprintf("status.loadBalancer.ingress[%d]", [i])} if {
	not status_writer
	some i, address in input.object.status.loadBalancer.ingress
	not address in old(["status", "loadBalancer", "ingress"])
}

status_writer if input.user.name in input.parameters.statusUsers

status_writer if {
	some group in input.user.groups
	group in input.parameters.statusGroups
}
