# Everyday commands, one in a line. $NS is the namespace. What they ask is recorded; how they end does not matter.
kubectl version
kubectl api-resources
kubectl api-versions
kubectl cluster-info
kubectl create configmap settings --from-literal=a=b --from-literal=c=d
kubectl create configmap settings --from-literal=a=b
kubectl create secret generic password --from-literal=p=w
kubectl create secret docker-registry pull --docker-username=u --docker-password=p --docker-email=e@example.com
kubectl create serviceaccount builder
kubectl create token builder
kubectl create role reader --verb=get,list --resource=pods,configmaps
kubectl create rolebinding readers --role=reader --user=jane --serviceaccount=$NS:builder
kubectl create deployment web --image=nginx:1.27 --replicas=2 --port=80
kubectl create job once --image=busybox -- true
kubectl create cronjob often --image=busybox --schedule="*/5 * * * *" -- true
kubectl create job from-often --from=cronjob/often
kubectl create service clusterip inner --tcp=80:8080
kubectl create service nodeport outer --tcp=80
kubectl create quota small --hard=pods=50,configmaps=50
kubectl create poddisruptionbudget keep --selector=app=web --min-available=1
kubectl create ingress front --rule="a.example.com/x=inner:80"
kubectl apply -f app.yaml
kubectl apply -f app.yaml
kubectl apply -f app.yaml --dry-run=server
kubectl apply -f app2.yaml
kubectl diff -f app.yaml
kubectl apply -f app2.yaml --server-side --field-manager=team
kubectl apply -f app2.yaml --server-side --force-conflicts --field-manager=team
kubectl apply -f app.yaml --server-side
kubectl apply -f app2.yaml --prune -l app=app
kubectl apply view-last-applied deployment/app
kubectl apply set-last-applied -f app.yaml
kubectl replace -f app.yaml
kubectl replace --force -f map.yaml
kubectl create -f map.yaml
kubectl create -f bad.yaml
kubectl create -f unknown.yaml
kubectl create -f unknown.yaml --validate=false
kubectl create -f unknown.yaml --validate=ignore --dry-run=server
kubectl get pods,deployments,services,configmaps,secrets
kubectl get all
kubectl get all -o wide
kubectl get deployments -o yaml
kubectl get deployment web -o json
kubectl get deployment web -o jsonpath='{.spec.replicas}'
kubectl get deployments -o name
kubectl get configmaps -l app=app --show-labels
kubectl get configmaps --field-selector=metadata.name=settings
kubectl get pods --sort-by=.metadata.name
kubectl get events --sort-by=.lastTimestamp
kubectl events
kubectl get configmap nosuch
kubectl get nosuch
kubectl get deploy,rs,sts,ds,job,cronjob,hpa,pdb,ing,netpol,sa,role,rolebinding,quota,limits,lease,endpointslice,ep,pvc,rc -o wide
kubectl get nodes,namespaces,pv,sc,priorityclass,clusterrole -l nobody=here
kubectl get namespace $NS -o yaml
kubectl get --raw /api
kubectl get --raw /version
kubectl get --raw /readyz
kubectl get configmaps --chunk-size=1
kubectl get deployment web --subresource=scale
kubectl get deployment web --subresource=status
kubectl describe deployment web
kubectl describe configmap settings
kubectl describe secret password
kubectl describe service inner
kubectl describe serviceaccount builder
kubectl describe role reader
kubectl describe job once
kubectl describe cronjob often
kubectl describe ingress front
kubectl describe quota small
kubectl describe namespace $NS
kubectl describe pdb keep
kubectl label configmap settings team=blue
kubectl label configmap settings team=red
kubectl label configmap settings team=red --overwrite
kubectl label configmap settings team-
kubectl label configmaps --all all=yes
kubectl label configmap settings team=green --dry-run=server
kubectl annotate configmap settings note="a note"
kubectl annotate configmap settings note-
kubectl annotate deployment web kubernetes.io/change-cause="by hand" --resource-version=1
kubectl scale deployment web --replicas=3
kubectl scale deployment web --replicas=4 --current-replicas=3
kubectl scale deployment web --replicas=5 --current-replicas=9
kubectl scale deployment nosuch --replicas=1
kubectl autoscale deployment web --min=1 --max=3 --cpu=50
kubectl expose deployment web --port=80 --target-port=8080
kubectl expose deployment web --port=80 --name=again --type=NodePort
kubectl set image deployment/web nginx=nginx:1.28
kubectl set env deployment/web A=b C-
kubectl set env deployment/web --from=configmap/settings
kubectl set resources deployment/web --limits=cpu=200m,memory=64Mi --requests=cpu=100m
kubectl set serviceaccount deployment/web builder
kubectl set selector service inner app=web
kubectl set subject rolebinding readers --group=devs
kubectl rollout history deployment/web
kubectl rollout status deployment/web --timeout=1s
kubectl rollout pause deployment/web
kubectl rollout resume deployment/web
kubectl rollout restart deployment/web
kubectl rollout undo deployment/web
kubectl patch configmap settings -p '{"data":{"x":"y"}}'
kubectl patch configmap settings --type=merge -p '{"data":{"x":null}}'
kubectl patch configmap settings --type=json -p '[{"op":"add","path":"/data/j","value":"k"}]'
kubectl patch configmap settings --type=json -p '[{"op":"remove","path":"/data/nosuch"}]'
kubectl patch deployment web -p '{"spec":{"template":{"spec":{"containers":[{"name":"nginx","image":"nginx:1.29"}]}}}}'
kubectl patch deployment web --subresource=scale --type=merge -p '{"spec":{"replicas":2}}'
kubectl patch deployment web -p '{"spec":{"replicas":"x"}}'
kubectl edit configmap editable
kubectl edit deployment app
kubectl explain pods.spec.containers
kubectl explain deployment --recursive
kubectl explain nosuch
kubectl auth can-i create pods
kubectl auth can-i '*' '*' --all-namespaces
kubectl auth can-i list secrets --as=jane
kubectl auth can-i list configmaps --as=jane
kubectl auth can-i --list --as=jane
kubectl auth whoami
kubectl auth whoami --as=jane --as-group=devs
kubectl auth reconcile -f rbac.yaml
kubectl get secrets --as=jane
kubectl get configmaps --as=jane
kubectl run one --image=nginx --labels=app=one
kubectl run two --image=nginx --dry-run=server -o yaml
kubectl run bad --image=
kubectl get pod one -o wide
kubectl describe pod one
kubectl logs one
kubectl exec one -- true
kubectl cp one:/a /dev/null
kubectl port-forward one 0:80
kubectl debug one --image=busybox
kubectl wait --for=condition=Ready pod/one --timeout=1s
kubectl wait --for=delete pod/nosuch --timeout=1s
kubectl wait --for=jsonpath='{.spec.replicas}'=2 deployment/web --timeout=1s
kubectl top pods
kubectl taint nodes nosuch a=b:NoSchedule
kubectl cordon nosuch
kubectl drain nosuch
kubectl certificate approve nosuch
kubectl kustomize .
kubectl config view
kubectl get configmaps --watch --request-timeout=1s
kubectl delete pod one --grace-period=1
kubectl delete pod one --force
kubectl delete configmap settings --dry-run=server
kubectl delete configmap settings
kubectl delete configmap settings --ignore-not-found
kubectl delete configmap settings
kubectl delete deployment web --cascade=orphan --wait=false
kubectl delete deployment app --cascade=foreground --wait=false
kubectl delete job,cronjob --all --wait=false
kubectl delete configmaps -l all=yes
kubectl delete -f app.yaml --wait=false
kubectl delete all --all --wait=false
kubectl delete configmaps --field-selector=metadata.name=nosuch
